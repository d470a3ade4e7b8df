"""Pieces of a far storage are fetched before they are asked for; what goes wrong is told in its place."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from repository import data_packs, locks, prefetch, restore_crew
from repository.data_packs import DataPacks, Take
from repository.entries import Problem
from repository.errors import Cancelled
from repository.files import pack_key
from repository.lookup import find_node
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from sources.local_target import LocalTarget
from storage_adapters.errors import StorageError, StorageUnavailable
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import latest, make_backup, new_repo
from tests.repository.test_data_packs import BLOB, Far, place, read_all, save
from tests.waiting import wait_for

FILES = 8
AHEAD = 3


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let packs of three blobs be fetched ahead, so many. Nobody else locks."""
    monkeypatch.setattr(locks, "SETTLE_S", 0)
    monkeypatch.setattr(data_packs, "SETTLED_BYTES", 3 * BLOB)
    monkeypatch.setattr(data_packs, "AHEAD_BYTES", AHEAD * 3 * (BLOB + 100))


@pytest.fixture
def far() -> Far:
    return Far(MemoryAdapter())


@pytest.fixture
def repo(far: Far) -> Repository:
    return new_repo(far)


@pytest.fixture
def tree(repo: Repository, tmp_path: Path) -> Path:
    """A tree of files that have a pack each."""
    (tmp_path / "tree").mkdir()
    for number in range(FILES):
        (tmp_path / "tree" / f"{number}").write_bytes(os.urandom(3 * BLOB))
        make_backup(repo, "tree", cwd=tmp_path)
    repo.load_index()
    return tmp_path / "tree"


def ask(repo: Repository, packs: DataPacks, blob: bytes) -> Take:
    return packs.ask([(blob, repo.index.lookup("data", blob)[0])])


def key_of(repo: Repository, number: int) -> str:
    """Return the key of the pack that holds a file of the tree."""
    node = find_node(repo, latest(repo), b"/tree/%d" % number)
    assert node.content
    return pack_key(place(repo, node.content[0])[0])


def test_the_next_packs_are_fetched_before_they_are_asked_for(repo: Repository, far: Far) -> None:
    blobs = [save(repo, 3) for _ in range(FILES)]
    packs = DataPacks(repo)
    far.reads = 0
    packs.want([blob for each in blobs for blob in each])
    assert far.reads == 0, "nothing is fetched for who may never ask"
    ask(repo, packs, blobs[0][0])
    wait_for(lambda: far.reads >= 1 + AHEAD)
    packs.close()
    assert far.reads == 1 + AHEAD


def test_reads_are_under_way_together(repo: Repository, far: Far) -> None:
    """The first read ends only when another has begun: whoever waits for it would wait for ever."""
    blobs = [save(repo, 3) for _ in range(FILES)]
    together = threading.Barrier(2, timeout=240)

    def wait(key: str) -> None:
        together.wait()

    far.fail = wait
    packs = DataPacks(repo)
    packs.want([blob for each in blobs for blob in each])
    assert len(ask(repo, packs, blobs[0][0])()) > BLOB
    together.abort()
    packs.close()


def test_each_pack_comes_once_whatever_is_fetched_ahead(repo: Repository, far: Far) -> None:
    blobs = [save(repo, 3) for _ in range(FILES)]
    packs = DataPacks(repo)
    packs.want([blob for each in blobs for blob in each])
    far.reads = 0
    read_all(repo, packs, [blob for each in blobs for blob in each])
    packs.close()
    assert far.reads == FILES


def test_a_pack_of_which_more_may_be_wanted_is_not_fetched_yet(repo: Repository, far: Far) -> None:
    first, second = save(repo, 3), save(repo, 3)
    packs = DataPacks(repo)
    far.reads = 0
    packs.want([*first, *second[:2]])
    read_all(repo, packs, first)
    packs.want(second[2:])
    read_all(repo, packs, second)
    packs.close()
    assert far.reads == 2


def test_a_pack_of_which_little_is_wanted_is_not_fetched_ahead(repo: Repository, far: Far) -> None:
    blobs = [save(repo, 3), save(repo, 30), save(repo, 3), save(repo, 3)]
    packs = DataPacks(repo)
    far.bytes_received = 0
    wanted = [*blobs[0], blobs[1][0], blobs[1][29], *blobs[2], *blobs[3]]
    packs.want(wanted)
    read_all(repo, packs, wanted)
    packs.close()
    assert far.bytes_received < (len(wanted) + 1) * (BLOB + 100)


def restored(
    repo: Repository, target: Path, progress: ProgressCallback = ignore_progress
) -> tuple[list[Problem], dict[int, bytes]]:
    """Restore one file after the other; return the problems, and what stands there now."""
    problems: list[Problem] = []
    try:
        options = RestoreOptions(workers=0)
        restore(repo, latest(repo), LocalTarget(str(target)), options, progress, problems.append)
    finally:
        there = {int(path.name): path.read_bytes() for path in (target / "tree").glob("*")}
    return problems, there


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the content of a file when the one before is written."""
    monkeypatch.setattr(prefetch, "BATCH_ITEMS", 2)
    monkeypatch.setattr(prefetch, "BATCHES", 1)


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("fault", ["wrong", "missing", "cut"])
def test_a_bad_pack_is_told_at_its_file_and_the_others_are_whole(
    repo: Repository, far: Far, tree: Path, tmp_path: Path, fault: str
) -> None:
    key = key_of(repo, 3)
    data = far.get(key)
    if fault == "missing":
        far.delete(key)
    else:
        far.put(key, data[:-BLOB] if fault == "cut" else bytes(1000) + data[1000:])
    problems, there = restored(repo, tmp_path / "out")
    assert [problem.path for problem in problems] == [b"/tree/3"]
    good = [number for number in range(FILES) if number != 3]
    assert there == {number: (tree / f"{number}").read_bytes() for number in good}


@pytest.mark.usefixtures("one_by_one")
def test_bytes_altered_on_their_way_are_read_once_more(
    repo: Repository, far: Far, tree: Path, tmp_path: Path
) -> None:
    key, whole = key_of(repo, 3), far.get(key_of(repo, 3))
    far.put(key, bytes(1000) + whole[1000:])
    reads = 0

    def mend(read: str) -> None:
        nonlocal reads
        reads += read == key
        if reads == 2:
            far.put(key, whole)

    far.fail = mend
    problems, there = restored(repo, tmp_path / "out")
    assert (problems, reads) == ([], 2)
    assert there[3] == (tree / "3").read_bytes()


@pytest.mark.usefixtures("one_by_one")
def test_an_error_of_a_read_ahead_ends_the_restore_when_its_file_comes(
    repo: Repository, far: Far, tree: Path, tmp_path: Path
) -> None:
    key = key_of(repo, 3)

    def fail(read: str) -> None:
        if read == key:
            raise StorageUnavailable("it is gone")

    far.fail = fail
    with pytest.raises(StorageUnavailable, match="it is gone"):
        restored(repo, tmp_path / "out")
    for number in range(3):
        assert (tmp_path / "out" / "tree" / f"{number}").read_bytes() == (tree / f"{number}").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out" / "tree").iterdir()) == ["0", "1", "2"]


@pytest.mark.usefixtures("one_by_one", "tree")
def test_cancelling_a_slow_restore_begins_no_more_reads(repo: Repository, far: Far, tmp_path: Path) -> None:
    keys = [key_of(repo, number) for number in range(FILES)]
    begun: set[str] = set()
    answer = threading.Event()

    def wait(key: str) -> None:
        if key in keys:
            begun.add(key)
        if key in keys[1:]:
            answer.wait(120)

    def cancel(progress: Progress) -> None:
        if progress.current == b"/tree/1":
            answer.set()
            raise Cancelled("asked to stop")

    before = set(threading.enumerate())
    far.fail = wait
    with pytest.raises(Cancelled):
        restored(repo, tmp_path / "out", cancel)
    assert [path.name for path in (tmp_path / "out" / "tree").iterdir()] == ["0"]
    assert len(begun) <= 2 + AHEAD
    assert set(threading.enumerate()) <= before


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("workers", [0, 2])
def test_cancelling_does_not_wait_for_a_storage_that_hangs(
    repo: Repository, far: Far, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_crew, "START_FILES", 1)
    keys = [key_of(repo, number) for number in range(FILES)]
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(key: str) -> None:
        if key in keys:
            hangs.set()
            goes_on.wait(120)

    def cancel(progress: Progress) -> None:
        if hangs.is_set():
            raise Cancelled("asked to stop")

    far.fail = hang
    began = time.monotonic()
    options, target = RestoreOptions(workers=workers), LocalTarget(str(tmp_path / "out"))
    with pytest.raises(Cancelled):
        restore(repo, latest(repo), target, options, cancel)
    took_s = time.monotonic() - began
    goes_on.set()
    assert took_s < 30
    assert list((tmp_path / "out").rglob(".holdfast-*")) == []


def test_who_waits_for_a_read_is_told_that_it_was_given_up(repo: Repository, far: Far) -> None:
    blobs = [save(repo, 3) for _ in range(FILES)]
    goes_on = threading.Event()

    def hang(key: str) -> None:
        goes_on.wait(120)

    far.fail = hang
    packs = DataPacks(repo)
    packs.want([blob for each in blobs for blob in each])
    take = ask(repo, packs, blobs[0][0])
    packs.close()
    with pytest.raises(StorageError, match="given up"):
        take()
    with pytest.raises(StorageError, match="given up"):
        ask(repo, packs, blobs[7][0])()
    goes_on.set()
