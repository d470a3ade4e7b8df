"""Repair of snapshots: what is left can be restored, and real restic finds no error in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import structs

from repository.check import check
from repository.entries import Problem
from repository.errors import RepositoryError
from repository.files import pack_key
from repository.locks import lock_repository
from repository.rebuild import rebuild_index
from repository.repair_snapshots import RepairResult, repair_snapshots
from repository.repository import Repository
from tests.repository.engine import Restic, latest, make_backup, new_local_repo, open_local, restore_to
from tests.repository.test_cli import Cli, run, tree

__all__ = ["run", "tree"]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """Two snapshots; only the second holds `tree/large` and `tree/sub/lost`."""
    top = tmp_path / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "kept").write_bytes(b"kept")
    repo = new_local_repo(tmp_path / "repo")
    make_backup(repo, "tree", cwd=tmp_path)
    (top / "large").write_bytes(os.urandom(4_000_000))
    (top / "sub" / "lost").write_bytes(b"lost")
    make_backup(repo, "tree", cwd=tmp_path)
    return open_local(tmp_path / "repo")


def lose(repo: Repository, kind: str, path: bytes) -> bytes:
    """Delete the pack of a blob of that path, and make the index anew; return the blob."""
    from repository.lookup import find_node

    repo.load_index()
    node = find_node(repo, latest(repo), path)
    blob = node.subtree if kind == "tree" else (node.content or [])[-1]
    assert blob is not None
    (place,) = repo.index.lookup("tree" if kind == "tree" else "data", blob)
    repo.storage.delete(pack_key(place.pack))
    with lock_repository(repo, exclusive=True) as lock:
        rebuild_index(repo, lock)
    return blob


def repair(repo: Repository, **options: bool) -> tuple[RepairResult, list[Problem]]:
    problems: list[Problem] = []
    with lock_repository(repo, exclusive=True) as lock:
        ids = [snapshot_id for snapshot_id, _ in repo.list_snapshots()]
        return repair_snapshots(repo, ids, lock, report=problems.append, **options), problems


def test_lost_content_is_told_and_the_rest_is_kept(repo: Repository, tmp_path: Path, restic: str) -> None:
    lose(repo, "data", b"/tree/large")
    first, second = (snapshot_id for snapshot_id, _ in repo.list_snapshots())
    result, problems = repair(repo, forget=True)
    assert [old for old, _ in result.repaired] == [second]
    assert result.whole == [first]
    assert b"/tree/large" in [each.path for each in problems]
    repaired = latest(repo)
    assert repaired.tags == ["repaired"]
    assert repaired.original == second
    assert check(open_local(tmp_path / "repo"), read_data=True).errors == []
    Restic(restic, tmp_path / "repo").check()
    restored, none = restore_to(repo, tmp_path / "out")
    assert none == []
    assert (tmp_path / "out" / "tree" / "kept").read_bytes() == b"kept"
    left = (tmp_path / "out" / "tree" / "large").stat().st_size
    assert left < 4_000_000
    assert restored.problems == 0
    assert repair(repo)[0].repaired == []


def test_a_lost_folder_goes(repo: Repository, tmp_path: Path) -> None:
    """Each backup has one tree pack, so with a folder the root goes: the snapshot is lost, others are not."""
    lose(repo, "tree", b"/tree/sub")
    (first, _), (second, _) = repo.list_snapshots()
    result, problems = repair(repo)
    assert (result.whole, result.lost, result.repaired) == ([first], [second], [])
    assert [each.path for each in problems] == [b"/"]
    assert len(repo.list_snapshots()) == 2
    repair(repo, forget=True)
    assert [snapshot_id for snapshot_id, _ in repo.list_snapshots()] == [first]
    assert check(open_local(tmp_path / "repo")).errors == []


def test_a_folder_whose_tree_alone_is_lost_is_left_out(repo: Repository, tmp_path: Path) -> None:
    from dataclasses import replace

    from repository.lookup import find_node, load_tree
    from repository.tree import encode_tree

    repo.load_index()
    top = find_node(repo, latest(repo), b"/tree").subtree
    assert top is not None
    nodes = [
        structs.replace(node, subtree=bytes(32)) if node.name == b"sub" else node
        for node in load_tree(repo, top)
    ]
    inner = repo.save_blob("tree", encode_tree(nodes)).id
    root = [structs.replace(node, subtree=inner) for node in load_tree(repo, latest(repo).tree)]
    tree = repo.save_blob("tree", encode_tree(root)).id
    repo.flush()
    snapshot_id = repo.save_snapshot(replace(latest(repo), tree=tree))
    result, problems = repair(repo, forget=True)
    assert [old for old, _ in result.repaired] == [snapshot_id]
    assert [each.path for each in problems] == [b"/tree/sub"]
    repo.load_index()
    new = repo.load_snapshot(result.repaired[0][1])
    assert [node.name for node in load_tree(repo, find_node(repo, new, b"/tree").subtree or b"")] == [
        b"kept",
        b"large",
    ]


def test_a_dry_run_changes_nothing(repo: Repository, tmp_path: Path) -> None:
    lose(repo, "data", b"/tree/large")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "repo").rglob("*") if path.is_file()}
    result, problems = repair(repo, forget=True, dry_run=True)
    assert [new for _, new in result.repaired] == [b""]
    assert problems
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "repo").rglob("*") if path.is_file()}
    assert after == before


def test_it_needs_an_exclusive_lock(repo: Repository) -> None:
    with lock_repository(repo) as lock, pytest.raises(RepositoryError, match="exclusive"):
        repair_snapshots(repo, [], lock)


def test_the_command(run: Cli, tree: Path) -> None:
    run("backup", tree)
    summary = run.json("repair", "snapshots")
    assert (len(summary["whole"]), summary["repaired"], summary["lost"]) == (1, [], [])
    run("repair", "index", "--forget", code=2)
    assert run.json("repair", "index")["packs_gone"] == 0
