"""Copy: the same snapshots elsewhere, sealed with another key; what is there already is not sent."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repository.check import check
from repository.copy import CopyResult, copy
from repository.errors import Cancelled, LockLost, SnapshotNotFound, SourceSpoilt
from repository.files import pack_key
from repository.indexfile import encode_index
from repository.locks import lock_repository
from repository.progress import Progress
from repository.rebuild import rebuild_index
from repository.repository import Repository
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import (
    PASSWORD,
    FaultyAdapter,
    Restic,
    differences,
    new_local_repo,
    new_repo,
    open_local,
    restore_to,
    with_cheap_key,
)
from tests.repository.nasty import make_nasty_tree
from tests.repository.upkeep import back_up, contents


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


def run_copy(source: Repository, destination: Repository, *snapshot_ids: bytes) -> CopyResult:
    wanted = snapshot_ids or [snapshot_id for snapshot_id, _ in source.list_snapshots()]
    with lock_repository(source) as source_lock, lock_repository(destination) as lock:
        return copy(source, destination, wanted, (source_lock, lock))


def blobs_of(repo: Repository) -> set[tuple[str, bytes]]:
    repo.load_index()
    return {(kind, blob) for kind, blob, _ in repo.index.places()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source" / "below").mkdir(parents=True)
    for number in range(8):
        (tmp_path / "source" / "below" / f"{number}").write_bytes(b"%d" % number * 2_000)
    return tmp_path / "source"


def test_everything_comes_along(tmp_path: Path, restic: str) -> None:
    make_nasty_tree(tmp_path / "nasty")
    source, destination = new_local_repo(tmp_path / "one"), new_local_repo(tmp_path / "two")
    first = back_up(source, tmp_path / "nasty")
    (tmp_path / "nasty" / "small").write_bytes(b"more")
    second = back_up(source, tmp_path / "nasty")
    result = run_copy(source, destination)
    assert [each[0] for each in result.copied] == [first, second]
    assert blobs_of(source) == blobs_of(destination)
    assert result.blobs_added == len(blobs_of(source))
    fresh = open_local(tmp_path / "two")
    assert check(fresh, read_data=True).errors == []
    restore_to(fresh, tmp_path / "out", fresh.load_snapshot(result.copied[1][1]))
    assert differences(tmp_path / "nasty", tmp_path / "out" / "nasty") == ""
    Restic(restic, tmp_path / "two").check()


def test_a_copy_names_its_original_and_no_parent(folder: Path) -> None:
    source, middle, end = new_repo(), new_repo(), new_repo()
    back_up(source, folder)
    (folder / "new").write_bytes(b"new")
    second = back_up(source, folder)
    before = source.load_snapshot(second)
    assert before.parent is not None
    ((_, in_middle),) = run_copy(source, middle, second).copied
    assert middle.load_snapshot(in_middle) == replace(before, parent=None, original=second)
    ((_, in_end),) = run_copy(middle, end, in_middle).copied
    assert end.load_snapshot(in_end).original == second
    assert run_copy(source, end, second).skipped == [(second, in_end)]


def test_a_second_copy_sends_nothing(folder: Path) -> None:
    source, destination = new_repo(), new_repo()
    back_up(source, folder)
    first = run_copy(source, destination)
    again = run_copy(source, destination)
    assert (again.copied, again.skipped, again.bytes_added) == ([], first.copied, 0)


def lose_data(storage: MemoryAdapter, repo: Repository) -> None:
    """Delete the packs with the content of files."""
    repo.load_index()
    for each in repo.index.pack_totals():
        if each.data_blobs:
            storage.delete(pack_key(each.id))


def test_what_a_copied_snapshot_lost_since_is_sent_again_and_it_stays(folder: Path) -> None:
    source, storage = new_repo(), MemoryAdapter()
    back_up(source, folder)
    destination = new_repo(storage)
    first = run_copy(source, destination)
    lose_data(storage, destination)
    told = list[tuple[bytes, int]]()
    fresh = Repository.open(storage, PASSWORD)
    with lock_repository(source) as one, lock_repository(fresh) as other:
        wanted = [snapshot_id for snapshot_id, _ in source.list_snapshots()]
        again = copy(source, fresh, wanted, (one, other), on_stored=lambda *given: told.append(given[1:]))
    assert (again.copied, again.skipped) == (first.copied, [])
    assert told == [(first.copied[0][1], again.bytes_added)]
    assert len(again.lost_packs) == 1
    ((_, snapshot),) = fresh.list_snapshots()
    assert contents(Repository.open(storage, PASSWORD), snapshot) == contents(source, snapshot)
    assert run_copy(source, Repository.open(storage, PASSWORD)).skipped == first.copied


def test_what_a_doubted_snapshot_lacks_is_sent_also_where_the_index_was_repaired(folder: Path) -> None:
    source, storage = new_repo(), MemoryAdapter()
    back_up(source, folder)
    destination = new_repo(storage)
    ((old, new),) = run_copy(source, destination).copied
    lose_data(storage, destination)
    with lock_repository(destination, exclusive=True) as lock:
        rebuild_index(destination, lock)
    assert run_copy(source, destination).skipped == [(old, new)]  # nobody knows of it
    with lock_repository(source) as one, lock_repository(destination) as other:
        result = copy(source, destination, [old], (one, other), doubted={new})
        assert (result.copied, result.skipped, result.blobs_added > 0) == ([(old, new)], [], True)
        whole = copy(source, destination, [old], (one, other), doubted={new})
    assert (whole.copied, whole.skipped, whole.bytes_added) == ([], [(old, new)], 0)
    assert check(Repository.open(storage, PASSWORD), read_data=True).errors == []


def test_a_snapshot_that_was_tagged_anew_is_copied_anew(folder: Path) -> None:
    source, destination = new_repo(), new_repo()
    old = back_up(source, folder)
    run_copy(source, destination)
    tagged = source.save_snapshot(replace(source.load_snapshot(old), tags=["new"], original=old))
    result = run_copy(source, destination, tagged)
    assert (len(result.copied), result.blobs_added) == (1, 0)


def test_what_restic_copied_is_not_copied_again(folder: Path, tmp_path: Path, restic: str) -> None:
    source, destination = new_local_repo(tmp_path / "one"), new_local_repo(tmp_path / "two")
    back_up(source, folder)
    real = Restic(restic, tmp_path / "two")
    real.run("copy", "--from-repo", tmp_path / "one", RESTIC_FROM_PASSWORD=PASSWORD)
    assert len(run_copy(source, destination).skipped) == 1
    (folder / "new").write_bytes(b"new")
    back_up(source, folder)
    assert len(run_copy(source, destination).copied) == 1
    real.run("copy", "--from-repo", tmp_path / "one", RESTIC_FROM_PASSWORD=PASSWORD)
    assert len(json.loads(real.run("snapshots", "--json").stdout)) == 2
    real.check()


def make_version_1(path: Path, restic: str) -> Repository:
    Restic(restic, path).run("init", "--repository-version", "1")
    return open_local(with_cheap_key(path))


@pytest.mark.parametrize("version", [(1, 2), (2, 1)])
def test_between_the_versions_of_the_format(
    folder: Path, tmp_path: Path, restic: str, version: tuple[int, int]
) -> None:
    repos = [
        make_version_1(tmp_path / str(each), restic) if each == 1 else new_local_repo(tmp_path / str(each))
        for each in version
    ]
    snapshot_id = back_up(repos[0], folder)
    ((_, copied),) = run_copy(repos[0], repos[1], snapshot_id).copied
    repos[1].load_index()
    compressed = [place.uncompressed_length is not None for _, _, place in repos[1].index.places()]
    assert all(compressed) if version[1] == 2 else not any(compressed)
    restore_to(repos[1], tmp_path / "out", repos[1].load_snapshot(copied))
    assert differences(folder, tmp_path / "out" / "source") == ""
    Restic(restic, tmp_path / str(version[1])).check()


@pytest.mark.parametrize("name", ["v1", "v2modes", "mig", "oddnames"])
def test_what_restic_made_comes_along(
    unpack: Callable[[str], Path], tmp_path: Path, restic: str, name: str
) -> None:
    source, destination = open_local(unpack(name)), new_local_repo(tmp_path / "copy")
    copied = run_copy(source, destination).copied
    assert len(copied) == len(source.list_snapshots())
    for old, new in copied:
        one, other = source.load_snapshot(old), destination.load_snapshot(new)
        assert other == replace(one, parent=None, original=one.original or old)
        assert contents(destination, other) == contents(source, one)
    assert blobs_of(destination) <= blobs_of(source)
    Restic(restic, tmp_path / "copy").check()


def test_it_goes_on_where_it_was_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.copy_plan._BATCH_BLOBS", 3)
    source, storage = new_repo(), MemoryAdapter()
    new_repo(storage)
    back_up(source, folder)
    cut = Repository.open(FaultyAdapter(storage, 9), PASSWORD)
    with pytest.raises(StorageError):
        run_copy(source, cut)
    for key in [key for key in storage.objects if key.startswith("locks/")]:
        storage.delete(key)
    fresh = Repository.open(storage, PASSWORD)
    there = blobs_of(fresh)
    assert 0 < len(there) < len(blobs_of(source))
    assert fresh.list_snapshots() == []
    result = run_copy(source, fresh)
    assert result.blobs_added == len(blobs_of(source) - there)
    assert check(fresh, read_data=True).errors == []


def test_a_damaged_blob_is_never_passed_on(folder: Path) -> None:
    storage = MemoryAdapter()
    source, destination = new_repo(storage), new_repo()
    back_up(source, folder)
    for key in [key for key in storage.objects if key.startswith("data/")]:
        storage.objects[key] = storage.objects[key][:40] + b"\0" + storage.objects[key][41:]
    with pytest.raises(Exception, match="cannot be read") as raised:
        run_copy(source, destination)
    assert "pack" in str(raised.value)
    assert destination.list_snapshots() == []


def test_a_blob_that_no_index_names_stops_it(folder: Path) -> None:
    source, destination = new_repo(), new_repo()
    back_up(source, folder)
    (old,) = source.files.list("index")
    packs = source.load_index_file(old.id).packs
    source.files.save("index", encode_index({p: blobs for p, blobs in packs if blobs[0].type == "tree"}))
    source.files.remove("index", old.id)
    with pytest.raises(SourceSpoilt, match="of the source"):
        run_copy(source, destination)
    assert destination.list_snapshots() == []


@pytest.mark.parametrize("side", [0, 1])
def test_a_lost_lock_on_either_side_stops_it(folder: Path, side: int) -> None:
    repos = new_repo(), new_repo()
    snapshot_id = back_up(repos[0], folder)
    with lock_repository(repos[0]) as source_lock, lock_repository(repos[1]) as lock:
        locks = (source_lock, lock)
        repos[side].files.remove("locks", locks[side].id)
        with pytest.raises(LockLost):
            locks[side].refresh()
        with pytest.raises(LockLost):
            copy(*repos, [snapshot_id], locks)
    assert repos[1].list_snapshots() == []


def test_an_unknown_snapshot_is_refused_before_anything_is_sent() -> None:
    source, destination = new_repo(), new_repo()
    with pytest.raises(SnapshotNotFound):
        run_copy(source, destination, bytes(32))


class Watched(MemoryAdapter):
    """Tells of each object before it is stored."""

    def __init__(self, parallel_calls: int = 2) -> None:
        super().__init__()
        self.parallel_calls = parallel_calls
        self.told: Callable[[str], None] = lambda key: None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self.told(key)
        super().put(key, data)


@pytest.mark.parametrize("at", ["data/", "index/"])
def test_cancelled_while_the_last_is_uploaded_it_makes_no_snapshot_and_goes_on(folder: Path, at: str) -> None:
    storage, asked = Watched(), list[str]()
    source, destination = new_repo(), new_repo(storage)
    snapshot_id = back_up(source, folder)
    storage.told = lambda key: asked.append(key) if key.startswith(at) else None

    def progress(moment: Progress) -> None:
        if asked:
            raise Cancelled("cancelled on request")

    with pytest.raises(Cancelled), lock_repository(source) as one, lock_repository(destination) as other:
        copy(source, destination, [snapshot_id], (one, other), progress)
    assert destination.list_snapshots() == []
    assert len(run_copy(source, destination).copied) == 1
    assert not check(destination, read_data=True).errors


@pytest.mark.parametrize(("parallel_calls", "indexes"), [(2, 1), (8, 2)])
def test_far_away_an_index_names_each_pack_soon(
    folder: Path, monkeypatch: pytest.MonkeyPatch, parallel_calls: int, indexes: int
) -> None:
    monkeypatch.setattr("repository.copy._FAR_INDEX_AGE_S", 0.0)
    storage, stored = Watched(parallel_calls), list[str]()
    source, destination = new_repo(), new_repo(storage)
    back_up(source, folder)
    storage.told = stored.append
    run_copy(source, destination)
    assert sum(key.startswith("data/") for key in stored) == 2
    assert sum(key.startswith("index/") for key in stored) == indexes


def test_it_tells_how_much_there_is_before_it_begins_and_counts_only_what_is_stored(folder: Path) -> None:
    """Two points that share most; the destination has one of the files from a point of its own."""
    source, storage = new_repo(), Watched()
    destination = new_repo(storage)
    (folder / "below" / "big").write_bytes(random.Random(1).randbytes(3_000_000))
    back_up(source, folder)
    (folder / "below" / "more").write_bytes(random.Random(2).randbytes(1_000_000))
    back_up(source, folder)
    moments, stored_then = list[Progress](), list[int]()

    def note(moment: Progress) -> None:
        moments.append(moment)
        stored_then.append(sum(len(data) for key, data in storage.objects.items() if key.startswith("data/")))

    wanted = [snapshot_id for snapshot_id, _ in source.list_snapshots()]
    with lock_repository(source) as one, lock_repository(destination) as other:
        result = copy(source, destination, wanted, (one, other), note)
    phases = [moment.phase for moment in moments]
    assert phases == sorted(phases, reverse=True), "it looks at everything, then copies"
    copying = [moment for moment in moments if moment.phase == "copying"]
    assert {moment.bytes_total for moment in moments if moment.phase == "scanning"} == {None}
    assert {moment.bytes_total for moment in copying} == {result.bytes_added}
    assert copying[-1].bytes_done == result.bytes_added > 4_000_000
    done = [moment.bytes_done for moment in moments]
    assert done == sorted(done)
    for moment, stored in zip(moments, stored_then, strict=True):
        assert max(moment.bytes_done, moment.bytes_added) <= stored
    assert copying[-1].bytes_added == result.bytes_added


class Stuck(Watched):
    """Takes no pack until the work is said to have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.asked = threading.Event()

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        if key.startswith("data/"):
            self.asked.set()
            assert self.ended.wait(60), "nobody said that the work has ended"
            raise StorageError("given up")
        super().put(key, data)

    def stop_waiting(self) -> None:
        self.ended.set()


def test_cancelled_while_a_slow_limit_holds_everything_back_it_ends(folder: Path) -> None:
    source, storage = new_repo(), Stuck()
    destination = new_repo(storage)
    snapshot_id = back_up(source, folder)

    def cancel(moment: Progress) -> None:
        if storage.asked.is_set():
            raise Cancelled("cancelled on request")

    with pytest.raises(Cancelled), lock_repository(source) as one, lock_repository(destination) as other:
        copy(source, destination, [snapshot_id], (one, other), cancel)
    assert destination.list_snapshots() == []
    assert not [key for key in storage.objects if key.startswith("locks/")]


def test_what_is_spoilt_ends_it_only_after_all_before_it(folder: Path) -> None:
    """The trees of all are looked at beforehand; what can be copied of them is, all the same."""
    source, destination = new_repo(), new_repo()
    first = back_up(source, folder)
    with pytest.raises(SourceSpoilt):
        run_copy(source, destination, first, nowhere(source, first))
    assert len(destination.list_snapshots()) == 1


def nowhere(repo: Repository, like: bytes) -> bytes:
    """Store a snapshot of a tree that does not exist."""
    return repo.save_snapshot(replace(repo.load_snapshot(like), tree=bytes(32)))
