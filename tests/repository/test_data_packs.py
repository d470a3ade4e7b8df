"""Content from a far storage comes in few and large reads, in bounded memory; a near one is read as ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from repository import data_packs, restore_crew
from repository.data_packs import DataPacks
from repository.entries import Problem
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.prefetch import Prefetch, group_reads
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from sources.local_target import LocalTarget
from storage_adapters.count import CountingAdapter
from storage_adapters.errors import StorageUnavailable
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, latest, make_backup, new_repo

BLOB = 100_000


class Far(CountingAdapter):
    """A storage over a network; `fail` may raise for a read of a pack."""

    def __init__(self, inner: MemoryAdapter) -> None:
        super().__init__(inner)
        self.parallel_calls = 5
        self.fail: Callable[[str], None] = lambda key: None
        self.reads = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if key.startswith("data/"):
            self.reads += 1
            self.fail(key)
        return super().get(key, offset, length)


@pytest.fixture
def far() -> Far:
    return Far(MemoryAdapter())


@pytest.fixture
def repo(far: Far) -> Repository:
    return new_repo(far)


def save(repo: Repository, count: int) -> list[bytes]:
    """Store blobs that lie one after the other in one pack."""
    blobs = [repo.save_blob("data", os.urandom(BLOB)).id for _ in range(count)]
    repo.flush()
    repo.load_index()
    return sorted(blobs, key=lambda blob: place(repo, blob))


def place(repo: Repository, blob: bytes) -> tuple[bytes, int]:
    location = repo.index.lookup("data", blob)[0]
    return location.pack, location.offset


def read(repo: Repository, packs: DataPacks, blob: bytes) -> bytes:
    location = repo.index.lookup("data", blob)[0]
    (group,) = group_reads({blob: location})
    return repo.open_blob(blob, packs.ask(group)()[: location.length], location)


def read_all(repo: Repository, packs: DataPacks, blobs: list[bytes]) -> None:
    for blob in blobs:
        assert hash_bytes(read(repo, packs, blob)) == blob


def test_what_is_wanted_of_a_pack_comes_in_one_read(repo: Repository, far: Far) -> None:
    blobs = save(repo, 20)
    packs = DataPacks(repo)
    packs.want(blobs)
    far.reads = 0
    read_all(repo, packs, blobs[::-1])
    assert far.reads == 1


def test_a_little_of_a_pack_is_read_alone(repo: Repository, far: Far) -> None:
    blobs = save(repo, 20)
    packs = DataPacks(repo)
    wanted = [blobs[0], blobs[10], blobs[19]]
    packs.want(wanted)
    far.bytes_received = 0
    read_all(repo, packs, wanted)
    assert far.bytes_received < 3 * (BLOB + 1000)


def test_never_more_than_twice_of_what_is_wanted_is_read(repo: Repository, far: Far) -> None:
    blobs = save(repo, 30)
    for step in (2, 3, 4):
        packs = DataPacks(repo)
        packs.want(blobs[::step])
        far.bytes_received = 0
        read_all(repo, packs, blobs[::step])
        assert far.bytes_received <= 2 * len(blobs[::step]) * (BLOB + 100)


def test_what_becomes_known_later_is_read_too(repo: Repository, far: Far) -> None:
    blobs = save(repo, 20)
    packs = DataPacks(repo)
    packs.want(blobs[:10])
    far.reads = 0
    read_all(repo, packs, blobs[:5])
    packs.want(blobs[10:])
    read_all(repo, packs, blobs[5:])
    assert far.reads == 2


def test_memory_is_bounded_whatever_is_wanted(
    repo: Repository, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes what was asked for: what has no room is read when it is taken."""
    monkeypatch.setattr(data_packs, "KEPT_BYTES", 7 * BLOB)
    blobs = [blob for _ in range(6) for blob in save(repo, 3)]
    packs = DataPacks(repo)
    packs.want(blobs)
    far.reads = 0
    asked = []
    for blob in blobs:
        location = repo.index.lookup("data", blob)[0]
        asked.append((blob, location, packs.ask([(blob, location)])))
    for blob, location, take in asked:
        assert repo.open_blob(blob, take(), location)
    assert far.reads == 2 + 4 * 3, "two packs had room"


def test_what_was_dropped_is_read_again(repo: Repository, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_packs, "KEPT_BYTES", 4 * BLOB)
    first, second = save(repo, 3), save(repo, 3)
    packs = DataPacks(repo)
    packs.want(first + second)
    read_all(repo, packs, [blob for pair in zip(first, second, strict=True) for blob in pair])


def test_a_pack_cut_short_gives_what_it_still_has(repo: Repository, far: Far) -> None:
    blobs = save(repo, 5)
    pack, end = place(repo, blobs[3])
    key = f"data/{pack.hex()[:2]}/{pack.hex()}"
    far.put(key, far.get(key)[:end])
    stream = Prefetch(repo, iter([("all", blobs)]))
    next(stream)
    contents = stream.blobs(len(blobs))
    assert [hash_bytes(next(contents)) for _ in range(3)] == blobs[:3]
    with pytest.raises(Damaged, match="cannot be read"):
        next(contents)
    stream.close()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(restore_crew, "START_FILES", 50)
    for folder in range(20):
        (tmp_path / "tree" / f"{folder}").mkdir(parents=True)
        for number in range(20):
            (tmp_path / "tree" / f"{folder}" / f"{number}").write_bytes(os.urandom(3000))
    return tmp_path / "tree"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_tree_is_restored_in_few_reads(far: Far, tree: Path, tmp_path: Path, workers: int) -> None:
    make_backup(new_repo(far), "tree", cwd=tmp_path)
    repo = Repository.open(far, PASSWORD)
    repo.load_index()
    snapshot = latest(repo)
    far.reads = 0
    problems: list[Problem] = []
    target = LocalTarget(tmp_path / "out")
    restore(repo, snapshot, target, RestoreOptions(workers=workers), report=problems.append)
    assert not problems
    assert far.reads <= 15, "some single trees, one pack of trees, and one or two of data"
    for path in tree.rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / "tree" / path.relative_to(tree)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_storage_that_goes_away_ends_the_restore(
    far: Far, tree: Path, tmp_path: Path, workers: int
) -> None:
    make_backup(new_repo(far), "tree", cwd=tmp_path)
    repo = Repository.open(far, PASSWORD)
    repo.load_index()
    content = {place(repo, blob)[0].hex() for kind, blob, _ in repo.index.places() if kind == "data"}

    def fail(key: str) -> None:
        if key.rpartition("/")[2] in content:
            raise StorageUnavailable("it is gone")

    far.fail = fail
    with pytest.raises(StorageUnavailable, match="it is gone"):
        restore(repo, latest(repo), LocalTarget(tmp_path / "out"), RestoreOptions(workers=workers))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
