"""Faults on the wire to an S3 server, while we back up, copy, restore and prune: nothing is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repository.check import check
from repository.copy import copy
from repository.errors import RepositoryError
from repository.forget import forget
from repository.locks import lock_repository
from repository.prune import prune
from repository.prune_plan import PruneOptions, Unused
from repository.repository import Repository
from storage_adapters.errors import StorageError, TransientStorageError
from storage_adapters.open import over_network
from storage_adapters.retry import RetryPolicy
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.repository.engine import PASSWORD, make_backup, new_local_repo, new_repo, restore_to
from tests.repository.upkeep import fill
from tests.servers.s3 import S3Server
from tests.servers.wire import (
    SLOW_DOWN,
    CutReply,
    CutRequest,
    Delay,
    Fault,
    FlipReply,
    FlipRequest,
    Reply,
    Truncate,
    Wire,
    always,
    every,
    wire_to,
)

QUICK = RetryPolicy(attempts=9, first_wait_s=0.001, longest_wait_s=0.01)

PASSING: list[Fault] = [
    Reply(500),
    Reply(503, SLOW_DOWN),
    Reply(503, b"<html><title>Service Unavailable</title></html>", "text/html"),
    Reply(429, b"", "text/plain"),
    CutRequest(),
    CutRequest(1000),
    CutReply(),
    CutReply(7),
    FlipRequest(),
    Delay(0.01),
]
SPOILT_READS: list[Fault] = [FlipReply(), Truncate(100)]


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


@dataclass
class Place:
    """A repository in a bucket: over a wire that does harm, and as it really is."""

    wire: Wire
    settings: S3Settings

    def open(self) -> Repository:
        """Open it over the wire."""
        over_wire = replace(self.settings, endpoint=self.wire.url)
        return Repository.open(over_network(S3Adapter(over_wire), policy=QUICK), PASSWORD)

    def sound(self) -> Repository:
        """Open it without the wire."""
        return Repository.open(S3Adapter(self.settings), PASSWORD)

    def remove_locks(self) -> None:
        """Do what `unlock` does once the process is dead: ours lives, so its locks would keep us out."""
        storage = S3Adapter(self.settings)
        for lock in list(storage.list("locks/")):
            storage.delete(lock.key)
        storage.close()

    def require_sound(self, snapshots: int, tree: Path, out: Path) -> None:
        """Check every byte, and restore each snapshot, the newest of which is `tree`."""
        repo = self.sound()
        assert check(repo, read_data=True).errors == []
        found = repo.list_snapshots()
        assert len(found) == snapshots
        for number, (_, snapshot) in enumerate(found):
            result, problems = restore_to(repo, out / str(number), snapshot)
            assert (problems, result.failed) == ([], 0)
        repo.close()
        assert files(out / str(snapshots - 1) / tree.name) == files(tree)


@pytest.fixture
def place(s3_server: S3Server, s3_settings: S3Settings) -> Iterator[Place]:
    new_repo(S3Adapter(s3_settings)).close()
    with wire_to(s3_server.settings.endpoint) as wire:
        yield Place(wire, s3_settings)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    fill(tmp_path / "tree", seed=1)
    return tmp_path / "tree"


@pytest.fixture(autouse=True)
def no_secret_is_told(s3_server: S3Server, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look through all that was logged, debug messages of the libraries too."""
    caplog.set_level(logging.DEBUG)
    yield
    assert s3_server.settings.secret_key not in "".join(record.getMessage() for record in caplog.records)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def back_up(repo: Repository, tree: Path) -> bytes:
    made = make_backup(repo, tree.name, cwd=tree.parent)
    assert made.problems == []
    return made.result.snapshot_id


def fill_local(folder: Path, tree: Path, snapshots: int) -> Repository:
    repo = new_local_repo(folder)
    for number in range(snapshots):
        (tree / "changed").write_bytes(b"%d" % number * 5_000)
        back_up(repo, tree)
    return repo


def run_copy(source: Repository, destination: Repository) -> None:
    wanted = [snapshot_id for snapshot_id, _ in source.list_snapshots()]
    with lock_repository(source) as source_lock, lock_repository(destination) as lock:
        copy(source, destination, wanted, (source_lock, lock))


def run_prune(repo: Repository) -> None:
    """Forget all but the newest, and remove what only they needed."""
    with lock_repository(repo, exclusive=True) as lock:
        forget(repo, [snapshot_id for snapshot_id, _ in repo.list_snapshots()[:-1]], lock)
        prune(repo, PruneOptions(max_unused=Unused(size_bytes=0)), lock)


def test_backup_overcomes_what_passes(place: Place, tree: Path, tmp_path: Path) -> None:
    place.wire.restart_counting(every(3, *PASSING))
    repo = place.open()
    back_up(repo, tree)
    fill(tree, seed=2)
    back_up(repo, tree)
    repo.close()
    assert place.wire.faults >= len(PASSING)
    place.require_sound(2, tree, tmp_path / "out")


def test_copy_overcomes_what_passes_at_both_ends(
    place: Place, tree: Path, tmp_path: Path, s3_settings: S3Settings
) -> None:
    source = fill_local(tmp_path / "local", tree, 3)
    place.wire.restart_counting(every(3, *PASSING))
    run_copy(source, repo := place.open())
    place.require_sound(3, tree, tmp_path / "out")
    run_copy(repo, back := new_local_repo(tmp_path / "back"))
    repo.close()
    assert place.wire.faults >= len(PASSING)
    assert check(back, read_data=True).errors == []


def test_restore_overcomes_what_passes(place: Place, tree: Path, tmp_path: Path) -> None:
    back_up(sound := place.sound(), tree)
    sound.close()
    place.wire.restart_counting(every(2, *PASSING))
    repo = place.open()
    result, problems = restore_to(repo, tmp_path / "out")
    repo.close()
    assert (problems, result.failed) == ([], 0)
    assert files(tmp_path / "out" / "tree") == files(tree)
    assert place.wire.faults >= 5


def test_prune_overcomes_what_passes(place: Place, tree: Path, tmp_path: Path) -> None:
    sound = place.sound()
    for seed in range(3):
        fill(tree, seed)
        back_up(sound, tree)
    sound.close()
    place.wire.restart_counting(every(3, *PASSING))
    run_prune(repo := place.open())
    repo.close()
    assert place.wire.faults >= len(PASSING)
    place.require_sound(1, tree, tmp_path / "out")


ENDS: list[tuple[Fault, str]] = [
    (CutRequest(), "broke"),
    (Reply(403, b"<Error><Code>AccessDenied</Code></Error>"), "may not do this"),
    (Reply(507, b"", "text/plain"), "no room left"),
]


@pytest.mark.parametrize("start", [4, 9, 13])
@pytest.mark.parametrize(("fault", "words"), ENDS, ids=lambda value: str(value)[:12])
def test_a_backup_that_is_cut_off_loses_nothing_and_the_next_goes_on(
    place: Place, tree: Path, tmp_path: Path, fault: Fault, words: str, start: int
) -> None:
    back_up(sound := place.sound(), tree)
    sound.close()
    fill(tree, seed=2)
    place.wire.restart_counting(always(fault, start))
    with pytest.raises(StorageError, match=words):
        back_up(place.open(), tree)
    place.wire.restart_counting()
    repo = place.open()
    back_up(repo, tree)
    repo.close()
    place.require_sound(2, tree, tmp_path / "out")


@pytest.mark.parametrize("start", [8, 16, 24])
@pytest.mark.parametrize("work", [run_prune, None], ids=["prune", "copy"])
def test_upkeep_that_is_cut_off_loses_nothing_and_can_be_repeated(
    place: Place, tree: Path, tmp_path: Path, work: Callable[[Repository], None] | None, start: int
) -> None:
    source = fill_local(tmp_path / "local", tree, 3)
    if work is not None:
        run_copy(source, sound := place.sound())
        sound.close()
    run = work or (lambda repo: run_copy(source, repo))
    place.wire.restart_counting(always(CutRequest(), start))
    with pytest.raises(TransientStorageError):
        run(place.open())
    place.wire.restart_counting()
    place.remove_locks()
    repo = place.open()
    run(repo)
    repo.close()
    place.require_sound(1 if work else 3, tree, tmp_path / "out")


@pytest.mark.parametrize(("fault", "words"), ENDS[1:], ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("work", [run_prune, None], ids=["prune", "copy"])
def test_upkeep_that_the_server_refuses_says_so_and_can_be_repeated(
    place: Place,
    tree: Path,
    tmp_path: Path,
    work: Callable[[Repository], None] | None,
    fault: Fault,
    words: str,
) -> None:
    source = fill_local(tmp_path / "local", tree, 2)
    if work is not None:
        run_copy(source, sound := place.sound())
        sound.close()
    run = work or (lambda repo: run_copy(source, repo))
    place.wire.restart_counting(always(fault, 12))
    with pytest.raises(StorageError, match=words):
        run(place.open())
    place.wire.restart_counting()
    place.remove_locks()
    run(repo := place.open())
    repo.close()
    place.require_sound(1 if work else 2, tree, tmp_path / "out")


@pytest.mark.parametrize(("fault", "words"), ENDS[:2], ids=lambda value: str(value)[:12])
def test_a_restore_that_is_cut_off_says_so_and_goes_on(
    place: Place, tree: Path, tmp_path: Path, fault: Fault, words: str
) -> None:
    back_up(sound := place.sound(), tree)
    sound.close()
    repo = place.open()
    snapshot = repo.list_snapshots()[0][1]
    place.wire.restart_counting(always(fault, 3))
    with pytest.raises(StorageError, match=words):
        restore_to(repo, tmp_path / "out", snapshot)
    place.wire.restart_counting()
    repo.close()
    result, problems = restore_to(place.open(), tmp_path / "out", snapshot)
    assert (problems, result.failed) == ([], 0)
    assert files(tmp_path / "out" / "tree") == files(tree)


@pytest.mark.parametrize("fault", SPOILT_READS, ids=str)
@pytest.mark.parametrize("work", ["backup", "copy", "prune"])
def test_no_work_that_reads_wrong_bytes_loses_anything(
    place: Place, tree: Path, tmp_path: Path, work: str, fault: Fault
) -> None:
    """What a backup compares with, what a copy carries and what a prune keeps comes over the same wire.

    Blobs are read again. A listing with other names in it is believed by nobody either: at worst the work
    ends with an error, and is begun again.
    """
    sound = place.sound()
    for seed in range(2):
        fill(tree, seed)
        back_up(sound, tree)
    before = [snapshot_id for snapshot_id, _ in sound.list_snapshots()]
    sound.close()
    fill(tree, seed=2 if work == "backup" else 1)
    back = new_local_repo(tmp_path / "back")

    def run(repo: Repository) -> None:
        if work == "backup":
            back_up(repo, tree)
        elif work == "copy":
            with lock_repository(repo) as source_lock, lock_repository(back) as lock:
                copy(repo, back, before, (source_lock, lock))
        else:
            with lock_repository(repo, exclusive=True) as lock:
                forget(repo, before[:-1], lock)
                prune(repo, PruneOptions(max_unused=Unused(size_bytes=0)), lock)

    place.wire.restart_counting(every(3, fault))
    try:
        run(place.open())
    except (RepositoryError, StorageError):
        place.wire.restart_counting()
        place.remove_locks()
        run(place.open())
    else:
        assert place.wire.faults
    place.wire.restart_counting()
    if work == "prune":  # what a listing did not name was not forgotten
        run(place.open())
    if work == "copy":
        assert check(back, read_data=True).errors == []
        assert len(back.list_snapshots()) == 2
    there = len(place.sound().list_snapshots())
    # A backup may have failed when its snapshot was there already, at the last look at its lock.
    assert there in {"backup": (3, 4), "copy": (2,), "prune": (1,)}[work]
    place.require_sound(there, tree, tmp_path / "out")


@pytest.mark.parametrize("fault", SPOILT_READS, ids=str)
def test_a_restore_meets_wrong_bytes_and_reads_again(
    place: Place, tree: Path, tmp_path: Path, fault: Fault
) -> None:
    """Over plain HTTP nothing but our own hashes sees that an answer was altered."""
    back_up(sound := place.sound(), tree)
    sound.close()
    place.wire.restart_counting(every(3, fault))
    repo = place.open()
    result, problems = restore_to(repo, tmp_path / "out")
    repo.close()
    assert (problems, result.failed) == ([], 0)
    assert files(tmp_path / "out" / "tree") == files(tree)
    assert place.wire.faults
