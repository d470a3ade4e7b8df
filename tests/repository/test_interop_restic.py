"""Both ways with the real restic: what one writes, the other reads, restores and continues."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from repository.check import check
from repository.lookup import find_node, walk
from repository.repository import Repository
from storage_adapters.local import LocalAdapter
from tests.repository.engine import (
    PASSWORD,
    Restic,
    differences,
    latest,
    make_backup,
    new_local_repo,
    open_local,
    restore_to,
    with_cheap_key,
)
from tests.repository.nasty import make_nasty_tree

BERLIN = "Europe/Berlin"
BYTES = [byte for byte in range(1, 256) if byte != ord("/")]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("nasty") / "tree"
    make_nasty_tree(tree)
    return tree


@pytest.fixture(scope="session")
def template(restic: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository made by restic: its scrypt takes a second, so it is made once."""
    path = tmp_path_factory.mktemp("template") / "repo"
    Restic(restic, path).run("init")
    return with_cheap_key(path)


def unchanged(summary: dict[str, Any]) -> bool:
    changed = [summary[f"{what}_{how}"] for what in ("files", "dirs") for how in ("new", "changed")]
    return changed == [0, 0, 0, 0] and summary["data_blobs"] == summary["tree_blobs"] == 0


@pytest.mark.parametrize("compression", ["auto", "off", "max"])
def test_restic_reads_what_we_write(restic: str, nasty: Path, tmp_path: Path, compression: Any) -> None:
    new_local_repo(tmp_path / "repo").close()
    repo = Repository.open(LocalAdapter(str(tmp_path / "repo")), PASSWORD, compression=compression)
    made = make_backup(repo, nasty, tags=["x"])
    assert made.problems == []
    theirs = Restic(restic, tmp_path / "repo")
    theirs.check()
    theirs.run("restore", "latest", "--target", tmp_path / "out")
    assert differences(nasty, Path(f"{tmp_path}/out{nasty}")) == ""


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/St_Johns"])
def test_restic_finds_nothing_new_on_top_of_ours(restic: str, nasty: Path, tmp_path: Path, zone: str) -> None:
    make_backup(new_local_repo(tmp_path / "repo"), "tree", cwd=nasty.parent, zone=ZoneInfo(zone))
    theirs = Restic(restic, tmp_path / "repo")
    assert unchanged(theirs.summary("backup", "tree", cwd=nasty.parent, TZ=zone))


@pytest.mark.parametrize("zone", ["UTC", BERLIN])
def test_we_find_nothing_new_on_top_of_restics(
    restic: str, template: Path, nasty: Path, tmp_path: Path, zone: str
) -> None:
    shutil.copytree(template, tmp_path / "repo")
    Restic(restic, tmp_path / "repo").run("backup", "tree", cwd=nasty.parent, TZ=zone)
    repo = open_local(tmp_path / "repo")
    result = make_backup(repo, "tree", cwd=nasty.parent, zone=ZoneInfo(zone)).result
    assert (result.data_blobs, result.tree_blobs) == (0, 0)
    assert (result.files_new, result.files_changed, result.dirs_new, result.dirs_changed) == (0, 0, 0, 0)
    assert result.files_unmodified > 25
    Restic(restic, tmp_path / "repo").check()


def test_we_restore_and_check_what_restic_wrote(
    restic: str, template: Path, nasty: Path, tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path / "repo")
    theirs = Restic(restic, tmp_path / "repo")
    theirs.run("backup", nasty, "--tag", "a")
    repo = open_local(tmp_path / "repo")
    result, problems = restore_to(repo, tmp_path / "out", strip=os.fsencode(nasty))
    assert problems == []
    assert differences(nasty, tmp_path / "out") == ""
    assert result.files == latest_count(repo)
    checked = check(repo, read_data=True)
    assert (checked.errors, checked.hints) == ([], [])


def latest_count(repo: Repository) -> int:
    snapshot = latest(repo)
    return sum(node.type == "file" for _, node in walk(repo, find_node(repo, snapshot, b"/")))


def test_names_and_links_of_any_bytes_are_the_same_to_both(restic: str, tmp_path: Path) -> None:
    """Every byte that may stand in a name, and random ones: neither finds anything new in the other."""
    tree = os.fsencode(tmp_path / "tree")
    os.mkdir(tree)
    numbers = random.Random(1)
    names = {bytes([byte]) for byte in range(1, 256) if byte not in b"./"}
    while len(names) < 600:
        names.add(bytes(numbers.choice(BYTES) for _ in range(numbers.randrange(2, 40))))
    for name in names - {b".."}:
        with open(os.path.join(tree, name), "wb"):
            pass
    os.symlink('\u00e9 <&> \u2028 \x01\x7f"\\'.encode(), os.path.join(tree, b"link"))
    repo = new_local_repo(tmp_path / "repo")
    theirs = Restic(restic, tmp_path / "repo")
    make_backup(repo, "tree", cwd=tmp_path)
    assert unchanged(theirs.summary("backup", "tree", cwd=tmp_path))
    theirs.check()
    assert unchanged(make_backup(repo, "tree", cwd=tmp_path).result.summary("", ""))
    restore_to(repo, tmp_path / "out")
    assert differences(tmp_path / "tree", tmp_path / "out" / "tree") == ""


def test_taking_turns_keeps_both_content(restic: str, tmp_path: Path) -> None:
    """restic, ours, restic: each sees the others' snapshots and stores only what is new."""
    new_local_repo(tmp_path / "repo")
    tree = tmp_path / "tree"
    tree.mkdir()
    theirs = Restic(restic, tmp_path / "repo")
    for turn in range(4):
        (tree / f"file {turn}").write_bytes(os.urandom(100_000))
        if turn % 2:
            made = make_backup(open_local(tmp_path / "repo"), tree).result
            counts = made.files_new, made.files_unmodified
        else:
            summary = theirs.summary("backup", tree)
            counts = summary["files_new"], summary["files_unmodified"]
        assert counts == (1, turn)
    theirs.check()
    assert check(open_local(tmp_path / "repo"), read_data=True).errors == []
    assert len(open_local(tmp_path / "repo").list_snapshots()) == 4


def test_restic_forgets_and_prunes_our_snapshots(restic: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    repo = new_local_repo(tmp_path / "repo")
    for turn in range(3):
        (tree / "changing").write_bytes(os.urandom(1_500_000))
        (tree / f"kept {turn}").write_bytes(os.urandom(1000))
        make_backup(repo, tree)
    theirs = Restic(restic, tmp_path / "repo")
    theirs.run("forget", "--keep-last", "1", "--prune")
    theirs.check()
    again = open_local(tmp_path / "repo")
    assert check(again, read_data=True).ok
    restore_to(again, tmp_path / "out", strip=os.fsencode(tree))
    assert differences(tree, tmp_path / "out") == ""


def test_repositories_of_version_1_are_read_and_written(restic: str, tmp_path: Path) -> None:
    theirs = Restic(restic, tmp_path / "repo")
    theirs.run("init", "--repository-version", "1")
    with_cheap_key(tmp_path / "repo")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "text").write_bytes(b"compressible " * 10_000)
    theirs.run("backup", "tree", cwd=tmp_path)
    repo = open_local(tmp_path / "repo")
    assert unchanged(make_backup(repo, "tree", cwd=tmp_path).result.summary("", ""))
    (tree / "more").write_bytes(b"more of it " * 10_000)
    make_backup(repo, "tree", cwd=tmp_path)
    theirs.check()
    assert check(repo, read_data=True).ok


@pytest.mark.parametrize(
    ("name", "snapshots"),
    [
        ("v1", ["fe74a8e4"]),
        ("v2modes", ["256de614", "c4e9084f", "c4edcefe"]),
        ("mig", ["26381f09", "6d79df0f"]),
        ("oddnames", ["cd77509a"]),
    ],
)
def test_fixtures_open_check_and_restore(
    unpack: Callable[[str], Path], restic: str, tmp_path: Path, name: str, snapshots: list[str]
) -> None:
    path = unpack(name)
    repo = open_local(path)
    found = repo.list_snapshots()
    assert sorted(each.hex()[:8] for each, _ in found) == snapshots
    checked = check(repo, read_data=True)
    assert (checked.errors, checked.hints) == ([], [])
    for number, (snapshot_id, snapshot) in enumerate(found):
        ours, theirs = tmp_path / f"ours{number}", tmp_path / f"theirs{number}"
        assert restore_to(repo, ours, snapshot)[1] == []
        Restic(restic, path).run("restore", snapshot_id.hex(), "--target", theirs)
        for folder in (ours, theirs):
            os.utime(folder, ns=(0, 0))  # the root itself stands in no snapshot
        assert differences(theirs, ours) == ""
