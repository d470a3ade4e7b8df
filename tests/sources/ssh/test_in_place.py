"""Restores into a folder of a host that is in use: by the conflict rules, all of it or nothing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import Entry, Problem, TargetError, TargetFull
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from repository.restore_plan import Conflict
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from tests.repository.engine import latest, make_backup, new_repo
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import differences, needs_root
from tests.waiting import wait_for

FILE = Entry(b"file", "file", 0o644, 0, size=5)
DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
def opened(sshd: Sshd) -> Iterator[Callable[..., SshInPlaceTarget]]:
    """Return what opens a folder on the host as a target."""
    targets = []

    def open_(place: Path, port: int | None = None) -> SshInPlaceTarget:
        targets.append(SshInPlaceTarget(SshHostSettings(sshd.server(port=port)), str(place)))
        return targets[-1]

    yield open_
    for each in targets:
        each.close()


def back_up(tree: Path) -> Repository:
    repo = new_repo()
    make_backup(repo, tree)
    repo.load_index()
    return repo


def put_back(
    repo: Repository, there: SshInPlaceTarget, tree: Path, conflict: Conflict = "replace"
) -> tuple[RestoreResult, list[Problem]]:
    problems: list[Problem] = []
    options = RestoreOptions(conflict=conflict, strip=os.fsencode(tree))
    return restore(repo, latest(repo), there, options, report=problems.append), problems


def staging(place: Path) -> list[Path]:
    return list(place.glob(".holdfast-*"))


def test_a_tree_that_was_damaged_is_as_it_was(
    opened: Callable[..., SshInPlaceTarget], tmp_path: Path
) -> None:
    tree, kept = make_nasty_tree(tmp_path / "tree"), tmp_path / "kept"
    (tree / "kinds" / "socket").unlink()
    os.link(tree / "sizes" / "sparse", tree / "sizes" / "another name")
    os.utime(tree, ns=(1, 1))
    subprocess.run(["cp", "-a", tree, kept], check=True)
    repo = back_up(tree)
    subprocess.run(["rm", "-rf", tree / "deep", tree / "sizes" / "sparse"], check=True)
    (tree / "names" / "-rf").write_text("overwritten")
    (tree / "names").chmod(0o711)
    (tree / "kinds" / "link0").unlink()
    (tree / "kinds" / "link0").symlink_to("elsewhere")
    (tree / "attributes" / "file").unlink()
    os.setxattr(tree / "attributes" / "folder", "user.ant", b"another value")
    result, problems = put_back(repo, opened(tree), tree)
    assert problems == []
    assert result.failed == 0
    assert result.unchanged > 100
    os.utime(tree, ns=(1, 1))  # the folder that is restored into keeps what it has
    assert differences(kept, tree, links=True) == ""
    assert differences(tree, kept, links=True) == ""
    assert staging(tree) == []


@pytest.mark.parametrize("conflict", ["replace", "keep", "replace-if-older", "rename"])
def test_the_conflict_rules_hold(
    opened: Callable[..., SshInPlaceTarget], tmp_path: Path, conflict: Conflict
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    now = time.time_ns()
    for name in ("older", "newer", "missing"):
        (tree / name).write_text("from the snapshot")
        os.utime(tree / name, ns=(now, now))
    repo = back_up(tree)
    for name, shift in (("older", -DAY_NS), ("newer", DAY_NS)):
        (tree / name).write_text("of today")
        os.utime(tree / name, ns=(now, now + shift))
    (tree / "missing").unlink()
    (tree / "not in the snapshot").write_text("stays")
    put_back(repo, opened(tree), tree, conflict)
    found = {each.name: each.read_text() for each in tree.iterdir()}
    assert found.pop("not in the snapshot") == "stays"
    assert found.pop("missing") == "from the snapshot"
    expected = {
        "replace": {"older": "from the snapshot", "newer": "from the snapshot"},
        "keep": {"older": "of today", "newer": "of today"},
        "replace-if-older": {"older": "from the snapshot", "newer": "of today"},
        "rename": {
            "older": "of today",
            "newer": "of today",
            "older.restored": "from the snapshot",
            "newer.restored": "from the snapshot",
        },
    }
    assert found == expected[conflict]


def test_files_that_are_equal_are_left_alone(opened: Callable[..., SshInPlaceTarget], tmp_path: Path) -> None:
    """Also large ones; one whose content differs though size and time do not is written."""
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    for name, size in (("small", 100), ("large", 7_000_000), ("sly", 100), ("sly and large", 7_000_000)):
        (tree / "folder" / name).write_bytes(os.urandom(size))
    repo = back_up(tree)
    before = {each.name: each.stat().st_ino for each in (tree / "folder").iterdir()}
    for name in ("sly", "sly and large"):
        path = tree / "folder" / name
        stat = path.stat()
        with path.open("r+b") as file:
            file.seek(90)
            file.write(b"sly")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result, problems = put_back(repo, opened(tree), tree)
    after = {each.name: each.stat().st_ino for each in (tree / "folder").iterdir()}
    assert problems == []
    assert result.unchanged == 2
    assert {name for name in before if before[name] == after[name]} == {"small", "large"}


def test_no_link_is_followed_and_no_folder_replaced(
    opened: Callable[..., SshInPlaceTarget], tmp_path: Path
) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "folder" / "below").mkdir(parents=True)
    (tree / "folder" / "below" / "file").write_text("x")
    (tree / "file").write_text("x")
    (tree / "good").write_text("x")
    repo = back_up(tree)
    subprocess.run(["rm", "-rf", tree / "folder", tree / "file", tree / "good"], check=True)
    outside.mkdir()
    (tree / "folder").symlink_to(outside)
    (tree / "file").mkdir()
    result, problems = put_back(repo, opened(tree), tree)
    assert list(outside.iterdir()) == []
    assert (tree / "good").read_text() == "x"
    assert list((tree / "file").iterdir()) == []
    said = " ".join(problem.message for problem in problems)
    assert "a link stands where a folder must go" in said
    assert "a folder stands where a file must go" in said
    assert result.failed == 2


def test_a_link_that_comes_meanwhile_is_not_followed(
    opened: Callable[..., SshInPlaceTarget], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "there" / "folder").mkdir(parents=True)
    there = opened(tmp_path / "there")
    there.start_dir(b"/")
    there.start_dir(b"/folder")
    there.write_file(b"/folder/file", FILE, [b"12345"])
    there.write_file(b"/other", replace(FILE, name=b"other"), [b"12345"])
    (tmp_path / "there" / "folder").rmdir()
    (tmp_path / "there" / "folder").symlink_to(outside)
    with pytest.raises(TargetError, match="a link stands where"):
        there.flush()
    assert list(outside.iterdir()) == []


@needs_root
def test_folders_on_other_file_systems_get_whole_files_too(
    opened: Callable[..., SshInPlaceTarget], tmp_path: Path
) -> None:
    """One that is full keeps its old files; all else is put in its place."""
    tree = tmp_path / "tree"
    for name in ("mounted/sub/file", "full/file", "file"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(os.urandom(500_000))
    repo, expected = back_up(tree), (tree / "mounted/sub/file").read_bytes()
    for name, size in (("mounted", "2m"), ("full", "100k")):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", tree / name], check=True)
    try:
        (tree / "full" / "file").write_text("old")
        (tree / "file").write_text("old")
        (tree / "mounted" / "sub").mkdir()
        (tree / "mounted" / "sub" / "file").write_text("old")
        there = opened(tree)
        with pytest.raises(TargetError, match="no space left"):
            put_back(repo, there, tree)
        there.close()
        assert (tree / "mounted" / "sub" / "file").read_bytes() == expected
        assert (tree / "full" / "file").read_text() == "old"
        assert (tree / "file").stat().st_size == 500_000
        names = {each.name for each in tree.rglob("*")}
        assert names == {"mounted", "sub", "full", "file"}
    finally:
        for name in ("mounted", "full"):
            subprocess.run(["umount", "--lazy", tree / name], check=True)


@needs_root
def test_a_full_disk_changes_nothing(opened: Callable[..., SshInPlaceTarget], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        (disk / "0").write_text("old")
        there = opened(disk)
        there.start_dir(b"/")

        def fill() -> None:
            for number in range(10):
                entry = replace(FILE, name=b"%d" % number, size=2_000_000)
                there.write_file(b"/%d" % number, entry, [bytes(1_000_000)] * 2)
            there.flush()

        with pytest.raises(TargetFull, match="no space left"):
            fill()
        there.close()
        assert [(each.name, each.read_text()) for each in disk.iterdir()] == [("0", "old")]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_after_a_cut_the_host_clears_up_by_itself(
    opened: Callable[..., SshInPlaceTarget], sshd: Sshd, tmp_path: Path
) -> None:
    """Also if it comes between two files, where the archive looks whole."""
    (tmp_path / "file").write_text("old")
    with wire_to(sshd.port) as wire:
        there = opened(tmp_path, wire.port)
        there.start_dir(b"/")
        there.write_file(b"/file", FILE, [b"12345"])
        there.write_file(b"/filler", replace(FILE, name=b"filler", size=20_480), [bytes(20_480)])
        wait_for(lambda: bool(staging(tmp_path)) and (staging(tmp_path)[0] / "file").exists())
        wire.go_down()
        wire.cut()
        wait_for(lambda: staging(tmp_path) == [])
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(TargetError, match="the host does so itself"):
        there.close()
