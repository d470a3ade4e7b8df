"""What the local source reads, the local target writes: everything a Linux file system can hold."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from repository.entries import Entry, Problem
from sources.local import LocalSource
from sources.local_target import LocalTarget
from tests.conftest import PROJECT, need_program
from tests.sources.trees import copy, differences, needs_root, read_chunks, walk


def below(root: Path) -> LocalSource:
    """A source whose tree is the content of `root`."""
    return LocalSource(["."], cwd=os.fsencode(root))


def everything(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What must be equal after a restore, by path; rsync says the rest."""
    found = {}
    for path, entry in walk(below(root)).items():
        # What ends in the fs itself (a folder's link count, blocks) is not a matter of restores.
        xattrs = tuple(sorted(entry.xattrs))
        found[path] = (
            entry.kind,
            entry.mode,
            entry.mtime_ns,
            entry.size,
            entry.linktarget,
            entry.device,
            xattrs,
        )
    return found


@pytest.mark.parametrize("chunk", [1 << 20, 100_003])
def test_a_nasty_tree_comes_back_the_same(nasty: Path, tmp_path: Path, chunk: int) -> None:
    need_program("rsync")
    (nasty / "kinds" / "socket").unlink()  # not backed up, by design
    target = LocalTarget(tmp_path / "out")
    problems = copy(below(nasty), target, chunk=chunk)
    top = LocalSource([str(nasty)]).list_dir(os.fsencode(tmp_path)).entries[0]
    problems += target.finish_dir(b"/", top)

    assert problems == []
    assert everything(tmp_path / "out") == everything(nasty)
    assert differences(nasty, tmp_path / "out") == ""


def test_a_second_restore_over_the_first_changes_nothing(nasty: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy(below(nasty), LocalTarget(out))
    first = everything(out)
    assert copy(below(nasty), LocalTarget(out)) == []
    assert everything(out) == first


@needs_root
def test_owners_come_back(nasty: Path, tmp_path: Path) -> None:
    copy(below(nasty), LocalTarget(tmp_path / "out"))
    for name in ("", "file", "suid", "link of others"):
        ours, theirs = (os.lstat(root / "root" / name) for root in (tmp_path / "out", nasty))
        assert (ours.st_uid, ours.st_gid) == (theirs.st_uid, theirs.st_gid)


@needs_root
def test_without_owners_no_file_keeps_rights_of_another_user(nasty: Path, tmp_path: Path) -> None:
    problems = copy(below(nasty), LocalTarget(tmp_path / "out", owner=False))
    assert problems == []
    for _, _, mode_and_more in walk_modes(tmp_path / "out"):
        assert mode_and_more & 0o6000 == 0
    assert "security.capability" not in os.listxattr(tmp_path / "out" / "root" / "file")
    assert (tmp_path / "out" / "root" / "file").stat().st_uid == 0


def walk_modes(root: Path) -> list[tuple[str, str, int]]:
    return [
        (folder, name, os.lstat(os.path.join(folder, name)).st_mode)
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    ]


@needs_root
def test_devices_can_be_left_out_and_are_named(nasty: Path, tmp_path: Path) -> None:
    problems = copy(below(nasty), LocalTarget(tmp_path / "out", devices=False))
    assert {(problem.path, problem.kind) for problem in problems} == {
        (b"/root/char", "unsupported"),
        (b"/root/block", "unsupported"),
    }
    assert not os.path.lexists(tmp_path / "out" / "root" / "char")


_AS_NOBODY = """
import os, sys
from pathlib import Path
from tests.sources.test_round_trip import LocalTarget, below, copy
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for _ in range(2):
    print(copy(below(Path(sys.argv[1])), LocalTarget(sys.argv[2])))
"""


@needs_root
def test_as_an_ordinary_user_all_but_owners_comes_back() -> None:
    """Run the copy in a process of another user: root's tests cannot see what root is spared."""
    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder, "tree"), Path(folder, "out")
        (tree / "closed").mkdir(parents=True)
        (tree / "closed" / "f").write_text("f")
        (tree / "set").write_text("s")
        (tree / "set").chmod(0o4755)
        (tree / "closed").chmod(0o555)
        os.setxattr(tree / "set", "user.x", b"1")
        out.mkdir()
        os.chown(out, 65534, 65534)
        os.chmod(folder, 0o755)
        command = [sys.executable, "-c", _AS_NOBODY, tree, out]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
        told = done.stdout.splitlines()
        assert [line.count("Problem(") for line in told] == [1, 1]
        assert all("kind='unsupported'" in line and "only root may" in line for line in told)
        assert (out / "set").stat().st_mode & 0o7777 == 0o755
        assert os.getxattr(out / "set", "user.x") == b"1"
        assert (out / "closed").stat().st_mode & 0o7777 == 0o555


def test_a_default_acl_of_the_folder_does_not_rub_off(tmp_path: Path) -> None:
    need_program("setfacl")
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "f").write_text("plain")
    os.mkfifo(tmp_path / "tree" / "fifo")
    (tmp_path / "out").mkdir()
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", tmp_path / "out"], check=True)
    target = LocalTarget(tmp_path / "out")
    source = below(tmp_path / "tree")
    assert copy(source, target) == []
    assert everything(tmp_path / "out") == everything(tmp_path / "tree")


def test_trees_deeper_than_path_max_are_written_and_read(tmp_path: Path) -> None:
    """Deeper than PATH_MAX, and than the number of folders that are kept open."""
    target = LocalTarget(tmp_path / "deep")
    path = b""
    for _ in range(90):
        path += b"/" + b"d" * 60
        target.start_dir(path)
    entry = Entry(b"f", "file", 0o640, 5, uid=os.getuid(), gid=os.getgid(), xattrs=((b"user.x", b"y"),))
    assert target.write_file(path + b"/f", entry, [b"at the bottom"]) == []
    target.start_dir(b"/other")

    source = below(tmp_path / "deep")
    found = walk(source)

    assert len(found) == 92
    assert found[path + b"/f"].xattrs == entry.xattrs
    files = list(source.open_files([path + b"/f"]))
    assert not isinstance(files[0], Problem)
    assert b"".join(read_chunks(files[0])) == b"at the bottom"
    files[0].close()
    assert copy(source, LocalTarget(tmp_path / "again")) == []
    assert everything(tmp_path / "again") == everything(tmp_path / "deep")
