"""The cache of metadata: it saves asking the storage, and is never believed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repository import lookup
from repository.cache import KINDS, MetadataCache
from repository.check import check
from repository.errors import Damaged, SnapshotNotFound
from repository.ids import hash_bytes
from repository.repository import Repository
from repository.tree_decode import decode_tree
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, make_backup, new_repo


class Counted(MemoryAdapter):
    """A storage that notes what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.read.append(key.partition("/")[0])
        return super().get(key, offset, length)


@pytest.fixture
def storage(tmp_path: Path) -> Counted:
    """A repository with one snapshot of two folders."""
    storage = Counted()
    (tmp_path / "tree" / "folder").mkdir(parents=True)
    (tmp_path / "tree" / "folder" / "file").write_bytes(b"content")
    make_backup(new_repo(storage), "tree", cwd=tmp_path)
    return storage


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def read_all(storage: Counted, cache: Path | None) -> tuple[list[bytes], set[str]]:
    """Open the repository as a new process would, look at everything; return the names and what was read."""
    storage.read.clear()
    repo = Repository.open(storage, PASSWORD, cache_folder=str(cache) if cache else None, cached=KINDS)
    repo.load_index()
    names = []
    for _, snapshot in repo.list_snapshots():
        names += [path for path, _ in lookup.walk(repo, lookup.find_node(repo, snapshot, b"/"))]
        assert all(decode_tree(repo.load_blob("tree", tree)) for tree in trees(repo))
    repo.close()
    return names, set(storage.read)


def trees(repo: Repository) -> list[bytes]:
    return [blob for kind, blob, _ in repo.index.places() if kind == "tree"]


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.stat().st_size)


def test_metadata_is_read_from_the_storage_once(storage: Counted, cache: Path) -> None:
    first = read_all(storage, cache)
    assert first == (read_all(storage, None)[0], {"config", "keys", "index", "snapshots", "data"})
    assert read_all(storage, cache) == (first[0], {"config", "keys"})
    kinds = [path.relative_to(cache).parts[1] for path in files(cache)]
    assert sorted(kinds) == ["index", "snapshots", "trees", "trees", "trees"]


def test_what_is_kept_is_sealed_and_private(storage: Counted, cache: Path) -> None:
    read_all(storage, cache)
    stored = list(storage.objects.values())
    for path in files(cache):
        assert any(path.read_bytes() in data for data in stored)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"x" * 100,
    ],
)
def test_damage_in_the_cache_is_mended_from_the_storage(
    storage: Counted, cache: Path, change: Callable[[bytes], bytes]
) -> None:
    names, _ = read_all(storage, cache)
    good = {path: path.read_bytes() for path in files(cache)}
    for path, data in good.items():
        path.write_bytes(change(data))
        assert read_all(storage, cache)[0] == names
        assert path.read_bytes() == data
    for path, data in zip(good, reversed(list(good.values())), strict=True):
        path.write_bytes(data)  # whole, and sealed with the right key, but of another id
    assert read_all(storage, cache)[0] == names
    assert {path: path.read_bytes() for path in files(cache)} == good


def test_damage_on_the_storage_is_not_kept(storage: Counted, cache: Path) -> None:
    (key,) = [key for key in storage.objects if key.startswith("index/")]
    good = storage.objects[key]
    storage.objects[key] = good[:-1]
    with pytest.raises(Damaged):
        read_all(storage, cache)
    assert files(cache) == []
    storage.objects[key] = good
    assert read_all(storage, cache)[0]


def test_a_check_sees_what_the_storage_holds(storage: Counted, cache: Path) -> None:
    read_all(storage, cache)
    (key,) = [key for key in storage.objects if key.startswith("snapshots/")]
    storage.objects[key] = storage.objects[key][:-1]
    assert check(Repository.open(storage, PASSWORD)).errors


def test_what_the_repository_has_no_more_is_dropped(storage: Counted, cache: Path, tmp_path: Path) -> None:
    read_all(storage, cache)
    repo = Repository.open(storage, PASSWORD, cache_folder=str(cache), cached=KINDS)
    (found,) = repo.list_snapshots()
    storage.delete(f"snapshots/{found[0].hex()}")
    assert repo.list_snapshots() == []
    with pytest.raises(SnapshotNotFound):
        repo.load_snapshot(found[0])
    assert not [path for path in files(cache) if "snapshots" in path.parts]


def test_an_unlisted_snapshot_is_asked_of_the_storage(storage: Counted, cache: Path) -> None:
    read_all(storage, cache)
    (key,) = [key for key in storage.objects if key.startswith("snapshots/")]
    storage.delete(key)
    repo = Repository.open(storage, PASSWORD, cache_folder=str(cache), cached=KINDS)
    with pytest.raises(SnapshotNotFound):
        repo.load_snapshot(bytes.fromhex(key.partition("/")[2]))


def test_trees_that_no_index_lists_make_room(storage: Counted, cache: Path) -> None:
    repo = Repository.open(storage, PASSWORD, cache_folder=str(cache), cached=KINDS)
    assert repo.files.cache is not None
    repo.files.cache.put("trees", bytes(32), b"of long ago")
    repo.load_index()
    for tree in trees(repo):
        repo.load_blob("tree", tree)
    repo.close()
    names = {path.name for path in files(cache) if "trees" in path.parts}
    assert names == {tree.hex() for tree in trees(repo)}


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path, max_bytes=1000)
    ids = [hash_bytes(bytes([number])) for number in range(12)]
    for number, each in enumerate(ids):
        cache.put("trees", each, bytes(100))
        path = tmp_path / "trees" / each.hex()[:2] / each.hex()
        os.utime(path, ns=(0, (time.time_ns() // 1000 - 10**6 + number) * 1000))
    assert cache.get("trees", ids[0]) == bytes(100)  # so it is the one used last
    cache.make_room()
    assert [each for each in ids if cache.get("trees", each)] == [ids[0], *ids[5:]]


def test_room_is_made_once_a_day_and_after_much_was_put(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path, max_bytes=1000)
    unwanted, wanted = bytes(32), bytes([1]) * 32
    cache.put("trees", wanted, bytes(1))
    cache.make_room()
    cache.put("trees", unwanted, bytes(1))
    cache.make_room(lambda tree: tree == wanted)
    assert cache.get("trees", unwanted)
    os.utime(tmp_path / "tidied", (0, time.time() - 25 * 3600))
    cache.make_room(lambda tree: tree == wanted)
    assert not cache.get("trees", unwanted)
    cache.put("trees", unwanted, bytes(100))
    cache.make_room(lambda tree: tree == wanted)
    assert not cache.get("trees", unwanted)
    assert cache.get("trees", wanted)


def test_a_disk_that_fails_is_told_of_once(
    storage: Counted, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_bytes(b"a file where the folder should be")
    assert read_all(storage, cache)[0]
    assert len([each for each in caplog.records if "the cache" in each.message]) == 1


def test_backups_with_it_are_the_same(storage: Counted, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tree" / "new").write_bytes(b"new")
    made = []
    for _ in range(3):
        repo = Repository.open(storage, PASSWORD, cache_folder=str(cache), cached=KINDS)
        made.append(make_backup(repo, "tree", cwd=tmp_path).result)
        repo.close()
    assert made[0].files_new == 1
    assert len({each.tree for each in made}) == 1
    assert (made[2].files_unmodified, made[2].tree_blobs) == (2, 0)
    assert check(Repository.open(storage, PASSWORD), read_data=True).errors == []
