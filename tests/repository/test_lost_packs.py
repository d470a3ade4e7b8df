"""A storage that lost packs: the next backup stores anew what it can, and says what was lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repository import tree_cache
from repository.backup import BackupOptions, BackupResult, backup
from repository.check import check
from repository.files import pack_key
from repository.locks import lock_repository
from repository.lost_packs import drop_lost_packs
from repository.repository import Repository
from repository.tree_cache import TreeCache
from sources.local import LocalSource
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import differences, make_backup, new_repo, restore_to

pytestmark = pytest.mark.usefixtures("quick_cache")


@pytest.fixture
def quick_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_cache, "RACY_NS", 0)


@pytest.fixture
def storage() -> MemoryAdapter:
    return MemoryAdapter()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "a").write_bytes(b"content of a")
    (tree / "folder" / "b").write_bytes(os.urandom(70_000))
    return tree


def packs_of(repo: Repository, kind: str) -> list[str]:
    repo.load_index()
    totals = repo.index.pack_totals()
    return [pack_key(each.id) for each in totals if (each.data_blobs if kind == "data" else each.tree_blobs)]


def back_up(repo: Repository, tree: Path, cache: Path) -> BackupResult:
    source = LocalSource(["tree"], cwd=os.fsencode(tree.parent))
    with lock_repository(repo) as lock, TreeCache(cache, source) as known:
        return backup(repo, source, BackupOptions(), lock, cache=known)


@pytest.mark.parametrize("kind", ["data", "tree"])
@pytest.mark.parametrize("cut", [False, True])
def test_what_a_lost_pack_held_is_stored_anew(
    storage: MemoryAdapter, tree: Path, tmp_path: Path, kind: str, cut: bool
) -> None:
    repo = new_repo(storage)
    back_up(repo, tree, tmp_path / "cache")
    (key,) = packs_of(repo, kind)
    size = len(storage.objects[key])
    if cut:
        storage.objects[key] = storage.objects[key][:-1]
    else:
        del storage.objects[key]
    healing = back_up(repo, tree, tmp_path / "cache")
    (lost,) = healing.lost_packs
    found = size - 1 if cut else None
    assert (pack_key(lost.id), lost.size_bytes, lost.found_bytes) == (key, size, found)
    assert (healing.data_blobs if kind == "data" else healing.tree_blobs) > 0
    restore_to(repo, tmp_path / "out")
    assert differences(tree, tmp_path / "out" / "tree") == ""
    assert back_up(repo, tree, tmp_path / "cache").lost_packs == []  # it has all again, elsewhere


def test_what_is_not_in_the_source_any_more_stays_lost(storage: MemoryAdapter, tree: Path) -> None:
    repo = new_repo(storage)
    make_backup(repo, "tree", cwd=tree.parent)
    (key,) = packs_of(repo, "data")
    del storage.objects[key]
    (tree / "a").write_bytes(b"another content")
    for _ in range(2):
        (lost,) = make_backup(repo, "tree", cwd=tree.parent).result.lost_packs
        assert pack_key(lost.id) == key


def test_whole_packs_stay_in_the_index(storage: MemoryAdapter, tree: Path) -> None:
    repo = new_repo(storage)
    make_backup(repo, "tree", cwd=tree.parent)
    first = packs_of(repo, "data")
    (tree / "c").write_bytes(b"content of c")
    make_backup(repo, "tree", cwd=tree.parent)
    (second,) = set(packs_of(repo, "data")) - set(first)  # it holds c alone
    before = len(repo.index)
    assert drop_lost_packs(repo) == []
    assert len(repo.index) == before
    del storage.objects[second]
    (lost,) = drop_lost_packs(repo)
    assert (pack_key(lost.id), len(repo.index)) == (second, before - 1)
    assert pack_key(lost.id) not in [pack_key(each.id) for each in repo.index.pack_totals()]
    assert check(repo).errors  # the index files still name it
