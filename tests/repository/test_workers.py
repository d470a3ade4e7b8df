"""Backups with worker processes: the same result as without, and a clean end whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from repository import backup_read, child, crew
from repository.backup import BackupOptions, BackupResult, backup
from repository.bloblist import BlobList
from repository.check import check
from repository.entries import Problem
from repository.errors import Cancelled, Damaged, LockLost, RepositoryError, WorkerFailed
from repository.ids import hash_bytes
from repository.locks import list_locks, lock_repository
from repository.packer import FinishedPack
from repository.progress import Progress
from repository.repository import Repository
from repository.worker import Batch, affordable
from repository.worker_pool import WorkerPool
from repository.writer import WriteOptions
from sources.local import LocalSource
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.children import children_of, is_alive
from tests.conftest import PROJECT
from tests.repository import meddling
from tests.repository.engine import (
    PASSWORD,
    FaultyAdapter,
    Restic,
    differences,
    make_backup,
    new_local_repo,
    new_repo,
    restore_to,
)
from tests.repository.nasty import make_nasty_tree
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers at the first file and give them a few files at a time."""
    monkeypatch.setattr(crew, "START_FILES", 1)
    monkeypatch.setattr(crew, "BATCH_FILES", 7)
    monkeypatch.setattr(backup_read, "_TELL_EVERY_S", 0)
    _before.clear()
    _before.update(children())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files that take a while: 200 in 10 folders, a pair of each content."""
    for number in range(200):
        folder = tmp_path / "tree" / f"{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d," % (number // 2) * 3000)
    return tmp_path / "tree"


_before: set[int] = set()  # what other tests have left running


def children() -> list[int]:
    """Return the processes that this test has started and not yet waited for."""
    return [pid for pid in children_of() if pid not in _before]


def counts(result: BackupResult) -> dict[str, object]:
    """Return what must be the same however the files are read; sealing makes no two packs the same."""
    changing = ("snapshot_id", "parent", "duration_s", "bytes_added_packed")
    return {key: value for key, value in asdict(result).items() if key not in changing}


def test_workers_store_just_what_one_process_stores(tmp_path: Path, restic: str) -> None:
    make_nasty_tree(tmp_path / "tree")
    (tmp_path / "tree" / "large").write_bytes(os.urandom(crew.LARGE_BYTES + 1))
    alone, helped = new_local_repo(tmp_path / "alone"), new_local_repo(tmp_path / "helped")
    copies = [Repository.open(each.storage, PASSWORD) for each in (alone, helped)]
    copies[1].config = copies[0].config  # one polynomial, so the same chunks
    results = [
        make_backup(repo, "tree", cwd=tmp_path, workers=workers)
        for repo, workers in zip(copies, (0, 2), strict=True)
    ]
    assert results[0].problems == results[1].problems == []
    assert counts(results[0].result) == counts(results[1].result)
    assert results[1].result.bytes_added_packed > 0
    assert children() == []
    assert check(helped, read_data=True).ok
    Restic(restic, tmp_path / "helped").check()
    restore_to(helped, tmp_path / "out")
    assert differences(tmp_path / "tree", tmp_path / "out" / "tree") == ""


def test_folders_that_workers_read_faster_than_they_are_taken_do_not_nest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent with a slow storage always finds the next batch done."""
    deep = tmp_path / "tree" / "folder"
    for _ in range(150):
        deep = deep / "d"
        deep.mkdir(parents=True)
        (deep.parent / "e").mkdir()  # found while "d" is on its way
    (tmp_path / "tree" / "!first").write_text("starts the workers")
    (deep / "end").write_text("down here")
    expected = make_backup(new_repo(), "tree", cwd=tmp_path, workers=0).result.tree
    take = WorkerPool.take

    def take_late(pool: WorkerPool, timeout_s: float) -> tuple[int, Batch] | None:
        return take(pool, 10.0 if pool.in_flight else timeout_s)

    monkeypatch.setattr(WorkerPool, "take", take_late)

    made = make_backup(new_repo(), "tree", cwd=tmp_path, workers=1)

    assert (made.result.tree, made.problems) == (expected, [])


def test_content_that_two_workers_meet_is_stored_once(tree: Path) -> None:
    repo = new_repo()
    result = make_backup(repo, "tree", cwd=tree.parent, workers=2).result
    assert (result.files_new, result.data_blobs) == (200, 100)
    found = check(repo, read_data=True)
    assert found.errors == found.hints == []
    again = make_backup(repo, "tree", cwd=tree.parent, workers=2, force=True).result
    assert (again.files_new, again.data_blobs, again.tree) == (200, 0, result.tree)


def test_an_unchanged_tree_and_a_small_one_start_no_process(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = new_repo()
    make_backup(repo, tree, workers=2)

    def never(*args: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(crew, "WorkerPool", never)
    assert make_backup(repo, tree, workers=2).result.files_unmodified == 200
    monkeypatch.setattr(crew, "START_FILES", 201)
    assert make_backup(repo, tree, workers=2, force=True).result.files_new == 200


def test_a_source_that_cannot_be_split_is_read_here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(LocalSource):
        """Something that a pickled copy would not do."""

    assert LocalSource([os.fsencode(tree)]).splittable
    repo = new_repo()
    monkeypatch.setattr(crew, "WorkerPool", None)
    with lock_repository(repo) as lock:
        result = backup(repo, Own([os.fsencode(tree)]), BackupOptions(workers=2), lock)
    assert result.files_new == 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_fails_the_backup_and_the_next_one_works(tree: Path, number: signal.Signals) -> None:
    repo = new_repo()

    def kill_the_first() -> None:
        until = time.monotonic() + 60
        while not (found := children()) and time.monotonic() < until:
            time.sleep(0.001)
        os.kill(found[0], number)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with pytest.raises(WorkerFailed, match=number.name):
        make_backup(repo, tree, workers=2)
    killer.join()
    assert children() == []
    assert repo.list_snapshots() == []
    assert list_locks(repo) == []
    assert make_backup(repo, tree, workers=2).result.files_new == 200
    assert check(repo, read_data=True).errors == []


def test_a_stopped_worker_does_not_hang_a_cancelled_backup(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_END_WITHIN_S", 0.2)

    def stop(progress: Progress) -> None:
        if found := children():
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        make_backup(new_repo(), tree, progress=stop, workers=2)
    assert children() == []


@pytest.mark.parametrize("at", [1, 60, 150])
def test_cancelling_ends_the_workers(tree: Path, at: int) -> None:
    repo, others = new_repo(), set(threading.enumerate())

    def progress(progress: Progress) -> None:
        if progress.files_done >= at:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        make_backup(repo, tree, progress=progress, workers=2)
    assert children() == []
    assert set(threading.enumerate()) <= others
    assert repo.list_snapshots() == []
    make_backup(repo, tree, workers=2)
    assert check(repo, read_data=True).errors == []


def test_a_storage_that_fails_at_a_workers_pack_makes_no_snapshot(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = MemoryAdapter()
    new_repo(storage)
    for k in (2, 3, 4):  # a lock is written first
        repo = Repository.open(FaultyAdapter(storage, k, dies=False), PASSWORD)
        with pytest.raises(StorageError):
            make_backup(repo, tree, workers=2)
        assert children() == []
        assert not [key for key in storage.objects if key.startswith("snapshots/")]


def test_a_lost_lock_stops_the_workers_before_anything_is_written(tree: Path) -> None:
    repo = new_repo()
    with lock_repository(repo) as lock:
        repo.storage.delete(f"locks/{lock.id.hex()}")
        with pytest.raises(LockLost):
            lock.refresh()
        with pytest.raises(LockLost):
            backup(repo, LocalSource([os.fsencode(tree)]), BackupOptions(workers=2), lock)
    assert children() == []
    assert not list(repo.storage.list("data/"))


def meddle(source: meddling.Meddling) -> tuple[Repository, BackupResult, list[Problem]]:
    repo, problems = new_repo(), list[Problem]()
    with lock_repository(repo) as lock:
        result = backup(repo, source, BackupOptions(workers=2), lock, report=problems.append)
    assert check(repo, read_data=True).errors == []
    assert result.problems_lost == sum(problem.loses_data for problem in problems)
    return repo, result, problems


@pytest.mark.parametrize(
    ("source", "times", "kinds", "size"),
    [
        (meddling.Appending, 1, [], 6001),
        (meddling.Appending, 5, ["changed"], 6002),
        (meddling.Cutting, 1, [], 5999),
        (meddling.Cutting, 5, ["shrank"], 5998),
    ],
)
def test_a_file_that_changes_in_a_workers_hands(
    tree: Path, source: type[meddling.Meddling], times: int, kinds: list[str], size: int
) -> None:
    (tree / "5" / "15").write_bytes(b"abc" * 2000)
    repo, result, problems = meddle(source(tree, "5/15", times))
    assert [problem.kind for problem in problems] == kinds
    restore_to(repo, tree.parent / "out", strip=os.fsencode(tree))
    assert (tree.parent / "out" / "5" / "15").read_bytes() == (b"abc" * 2000 + b"!!")[:size]
    assert result.files_total == 200


def test_what_a_worker_cannot_read_is_reported_and_left_out(tree: Path) -> None:
    _, result, problems = meddle(meddling.Withholding(tree, "5/15"))
    assert [(problem.path, problem.kind) for problem in problems] == [
        (os.fsencode(tree / "5" / "15"), "unreadable")
    ]
    assert (result.files_new, result.files_failed) == (199, 1)


def test_a_workers_own_errors_reach_the_caller(tree: Path) -> None:
    (tree / "5" / "15").write_bytes(b"a content of its own, so that there is something to seal")
    with pytest.raises(WorkerFailed, match="ZeroDivisionError: an error nobody thought of"):
        meddle(meddling.Raising(tree, "5/15"))
    with pytest.raises(Damaged):
        meddle(meddling.BadMemory(tree, "5/15"))
    with pytest.raises(Damaged, match="check this machine's memory"):
        meddle(meddling.BadBuffer(tree, "5/15"))
    assert children() == []


def test_a_process_that_cannot_be_started_is_said(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    repo = new_repo()
    with pytest.raises(WorkerFailed, match="could not be started: No such file"):
        make_backup(repo, tree, workers=2)
    assert list_locks(repo) == []


def command_line_backup(repo: Path, tree: Path) -> subprocess.Popen[bytes]:
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(repo)}
    command = [sys.executable, "-m", "repository", "--quiet", "backup", str(tree)]
    return subprocess.Popen(command, env=env, cwd=PROJECT, stderr=subprocess.DEVNULL)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Wait until the process has two children; return them."""
    while process.poll() is None:
        found = children_of(process.pid)
        if len(found) == 2:
            return found
        time.sleep(0.002)
    raise AssertionError("it ended before it had workers")


@pytest.mark.skipif(affordable() < 2, reason="one processor: no workers")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    tree = tmp_path / "tree"
    for at in range(6000):
        (tree / f"{at // 500}").mkdir(parents=True, exist_ok=True)
        (tree / f"{at // 500}" / f"{at}").write_bytes(b"%d" % at * 2000)
    repo = new_local_repo(tmp_path / "repo")
    process = command_line_backup(tmp_path / "repo", tree)
    found = workers_of(process)
    shown = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found)
    os.kill(process.pid, number)
    assert process.wait(120) != 0
    wait_for(lambda: not any(map(is_alive, found)))  # no worker goes on without its parent
    assert repo.list_snapshots() == []
    assert repo.key.encrypt.hex().encode() not in shown
    assert check(repo, read_data=True).errors == []


def test_one_processor_has_no_workers() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    code += "from repository.worker import affordable; print(affordable())"
    out = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, check=True).stdout
    assert out == b"0\n"


def test_blobs_claimed_and_never_packed_keep_the_index_from_being_written() -> None:
    repo = new_repo()
    writer = repo.start_writing(WriteOptions())
    one, two = hash_bytes(b"1"), hash_bytes(b"2")
    assert writer.claim(one + two + one) == b"\1\1\0"
    blobs = BlobList("data")
    blobs.append(one, 40, None)
    writer.add_pack(lambda: FinishedPack(hash_bytes(b"p"), bytearray(b"p"), blobs))
    with pytest.raises(RepositoryError, match="1 blobs were claimed"):
        repo.flush()
    assert repo.files.list("index") == []
