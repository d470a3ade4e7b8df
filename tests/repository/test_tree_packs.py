"""Trees from a far storage come a pack at a time; a near one is read as it always was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repository import tree_packs
from repository.repository import Repository
from repository.used import find_used
from storage_adapters.count import CountingAdapter
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, latest, make_backup, new_repo

FOLDERS = 50


class FarAdapter(CountingAdapter):
    """A storage whose calls take their time; `change` alters what the next reads of packs give."""

    def __init__(self, inner: MemoryAdapter) -> None:
        super().__init__(inner)
        self.parallel_calls = 5
        self.change: Callable[[bytes], bytes] = bytes
        self.changes = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        data = super().get(key, offset, length)
        if not key.startswith("data/") or not self.changes:
            return data
        self.changes -= 1
        return self.change(data)


def invert(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


@pytest.fixture
def stored(tmp_path: Path) -> MemoryAdapter:
    for number in range(FOLDERS):
        (tmp_path / "tree" / f"{number}").mkdir(parents=True)
        (tmp_path / "tree" / f"{number}" / "file").write_bytes(b"%d" % number)
    storage = MemoryAdapter()
    make_backup(new_repo(storage), "tree", cwd=tmp_path)
    return storage


def walk(storage: CountingAdapter) -> int:
    """Read all trees; return how many there are."""
    repo = Repository.open(storage, PASSWORD)
    repo.load_index()
    storage.calls.clear()
    used = find_used(repo, [latest(repo).tree], lambda progress: None)
    return len(list(used.ids("tree")))


def test_all_trees_of_a_far_storage_come_in_few_reads(stored: MemoryAdapter) -> None:
    far, near = FarAdapter(stored), CountingAdapter(stored)
    assert walk(far) == walk(near) == FOLDERS + 2
    assert far.calls["get"] <= 12, "the snapshot, some single trees, one pack"
    assert near.calls["get"] > FOLDERS


def test_one_tree_is_read_alone(stored: MemoryAdapter) -> None:
    far = FarAdapter(stored)
    repo = Repository.open(far, PASSWORD)
    repo.load_index()
    tree = latest(repo).tree
    far.bytes_received = 0
    repo.load_blob("tree", tree)
    assert far.bytes_received < 1000


def test_a_pack_that_is_too_large_is_never_read_whole(
    stored: MemoryAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_packs, "_MAX_BYTES", 1000)
    far = FarAdapter(stored)
    assert walk(far) == FOLDERS + 2
    assert far.calls["get"] > FOLDERS


@pytest.mark.parametrize("change", [invert, lambda data: data[:10], lambda data: b""])
def test_a_pack_that_comes_altered_is_not_believed(
    stored: MemoryAdapter, change: Callable[[bytes], bytes]
) -> None:
    far = FarAdapter(stored)
    repo = Repository.open(far, PASSWORD)
    repo.load_index()
    root = latest(repo).tree
    whole = [repo.load_blob("tree", root) for _ in range(4)]
    far.change, far.changes = change, 1
    assert repo.load_blob("tree", root) == whole[0]
    assert far.changes == 0, "the pack was read"


def test_what_a_backup_wrote_is_not_fetched_by_the_next(tmp_path: Path) -> None:
    for number in range(FOLDERS):
        (tmp_path / "tree" / f"{number}").mkdir(parents=True)
        (tmp_path / "tree" / f"{number}" / "file").write_bytes(b"%d" % number)
    inner, cache = MemoryAdapter(), str(tmp_path / "cache")
    new_repo(inner)
    make_backup(Repository.open(FarAdapter(inner), PASSWORD, cache_folder=cache), "tree", cwd=tmp_path)
    far = FarAdapter(inner)
    repo = Repository.open(far, PASSWORD, cache_folder=cache)
    far.calls.clear()
    made = make_backup(repo, "tree", cwd=tmp_path)
    assert made.result.files_unmodified == FOLDERS
    assert far.calls["get"] <= 1, "the lock that was just written"


def test_a_cached_pack_that_is_altered_is_not_believed(stored: MemoryAdapter, tmp_path: Path) -> None:
    def open_it() -> tuple[FarAdapter, Repository, bytes]:
        far = FarAdapter(stored)
        repo = Repository.open(far, PASSWORD, cache_folder=str(tmp_path / "cache"))
        repo.load_index()
        return far, repo, latest(repo).tree

    _, repo, root = open_it()
    trees = sorted(find_used(repo, [root], lambda progress: None).ids("tree"))
    (pack,) = [path for path in (tmp_path / "cache").glob("*/packs/*/*") if path.is_file()]
    for path in (tmp_path / "cache").glob("*/trees/*/*"):
        path.unlink()
    pack.write_bytes(invert(pack.read_bytes()))
    far, again, _ = open_it()
    far.calls.clear()
    for tree in trees:
        again.load_blob("tree", tree)
    assert far.calls["get"] <= 6, "the cached pack was dropped at once"


def test_trees_of_a_whole_pack_are_not_kept_one_by_one(stored: MemoryAdapter, tmp_path: Path) -> None:
    """Thousands of files take longer to write than to do without."""
    cache = tmp_path / "cache"
    far = FarAdapter(stored)
    repo = Repository.open(far, PASSWORD, cache_folder=str(cache))
    repo.load_index()
    used = find_used(repo, [latest(repo).tree], lambda progress: None)
    assert len(list(used.ids("tree"))) == FOLDERS + 2
    kept = [path.parts[-3] for path in cache.rglob("*") if path.is_file()]
    assert kept.count("packs") == 1
    assert 1 <= kept.count("trees") <= 8, "those read before the whole pack was"
