"""Restores to hosts without GNU tar, over SFTP: all that SFTP can set, and the rest is told."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import Entry, Problem, TargetError, TargetFull
from repository.restore import RestoreOptions, restore
from repository.restore_plan import Conflict
from sources.local import LocalSource
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.sftp_target import SftpTarget
from sources.ssh.target import SshTarget
from sources.ssh.targets import open_target
from tests.repository.engine import latest, make_backup, new_repo
from tests.servers.sshd import Sshd, stop_sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.nasty import make_nasty_tree
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import needs_root, walk

FILE = Entry(b"file", "file", 0o640, 10**18, size=5, links=1)

Open = Callable[..., SftpTarget]


@pytest.fixture
def opened(sshd: Sshd) -> Iterator[Open]:
    """Return what opens a folder on a host that offers SFTP alone."""
    targets = []

    def open_(place: Path, port: int | None = None) -> SftpTarget:
        server = sshd.server(key=sshd.sftp_only_key, port=port)
        targets.append(SftpTarget(SshHostSettings(server), str(place)))
        return targets[-1]

    yield open_
    for each in targets:
        each.close()


def told(entry: Entry) -> tuple[object, ...]:
    """Return what SFTP can set."""
    seconds = min(max(0, entry.mtime_ns // 10**9), (1 << 32) - 1)
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.linktarget, entry.links, seconds


def test_the_nasty_tree_arrives_but_for_what_is_told(opened: Open, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    for name in ("socket", "fifo"):
        (tree / "kinds" / name).unlink()
    if (tree / "root").exists():
        for name in ("char", "block"):
            (tree / "root" / name).unlink()
    os.link(tree / "sizes" / "random 4096", tree / "sizes" / "another name")
    os.mkfifo(tree / "fifo")
    repo = new_repo()
    make_backup(repo, tree)
    repo.load_index()
    (tree / "fifo").unlink()
    problems: list[Problem] = []
    there = opened(tmp_path / "there")
    result = restore(
        repo, latest(repo), there, RestoreOptions(strip=os.fsencode(tree)), report=problems.append
    )
    assert result.failed == 0
    said = {problem.message.split(":")[0] for problem in problems}
    assert said == {
        "a fifo cannot be made over SFTP",
        "times are restored in whole seconds, from 1970 to 2106",
        "extended attributes and ACLs are not restored",
    }
    here, arrived = below(tree), below(tmp_path / "there")
    assert {path: told(each) for path, each in arrived.items()} == {
        path: told(each) for path, each in here.items()
    }
    for path, entry in here.items():
        if entry.kind == "file":
            copied = os.fsencode(tmp_path / "there") + path
            assert Path(os.fsdecode(copied)).read_bytes() == Path(f"{tree}{os.fsdecode(path)}").read_bytes()


def below(folder: Path) -> dict[bytes, Entry]:
    """Return all entries in a folder, by their path from there."""
    top = os.fsencode(folder)
    found = walk(LocalSource([str(folder)]))
    return {path[len(top) :]: each for path, each in found.items() if path.startswith(top + b"/")}


@pytest.mark.parametrize("conflict", ["replace", "keep", "replace-if-older", "rename"])
def test_the_conflict_rules_hold(opened: Open, tmp_path: Path, conflict: Conflict) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    now = time.time_ns() // 10**9 * 10**9
    (tree / "same").write_text("same")
    (tree / "file").write_text("from the snapshot")
    os.utime(tree / "file", ns=(now, now))
    repo = new_repo()
    make_backup(repo, tree)
    repo.load_index()
    (tree / "file").write_text("of today")
    os.utime(tree / "file", ns=(now, now + 10**9))
    inode = (tree / "same").stat().st_ino
    options = RestoreOptions(conflict=conflict, strip=os.fsencode(tree))
    restore(repo, latest(repo), opened(tree), options)
    assert (tree / "file").read_text() == ("from the snapshot" if conflict == "replace" else "of today")
    assert (tree / "file.restored").exists() == (conflict == "rename")
    assert (tree / "same").stat().st_ino == inode


def test_no_link_is_followed_and_no_folder_replaced(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "there" / "a folder").mkdir(parents=True)
    (tmp_path / "there" / "link").symlink_to(tmp_path / "outside")
    there = opened(tmp_path / "there")
    there.start_dir(b"/")
    with pytest.raises(TargetError, match="a link stands where a folder must go"):
        there.start_dir(b"/link")
    with pytest.raises(TargetError, match="is a link"):
        there.write_file(b"/link/file", FILE, [b"12345"])
    with pytest.raises(TargetError, match="a folder stands where a file must go"):
        there.write_file(b"/a folder", FILE, [b"12345"])
    with pytest.raises(TargetError, match="no path that may be restored"):
        there.write_file(b"/../file", FILE, [b"12345"])
    assert there.existing(b"/link/file") is None
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_that_does_not_come_whole_leaves_the_old_one(opened: Open, sshd: Sshd, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise TargetError("damaged")

    (tmp_path / "file").write_text("old")
    with wire_to(sshd.port) as wire:
        there = opened(tmp_path, wire.port)
        there.start_dir(b"/")
        with pytest.raises(TargetError, match="damaged"):
            there.write_file(b"/file", FILE, broken())
        assert [each.name for each in tmp_path.iterdir()] == ["file"]
        wire.cut_after(up=1_000_000, for_good=True)
        with pytest.raises(TargetFull, match="the restore ends here"):
            there.write_file(b"/file", replace(FILE, size=8_000_000), [os.urandom(1_000_000)] * 8)
        there.close()
    assert (tmp_path / "file").read_text() == "old"
    again = opened(tmp_path)
    deadline = time.monotonic() + 60
    while (names := {each.name for each in tmp_path.iterdir()}) != {"file"}:
        assert time.monotonic() < deadline, f"the next restore clears up: {names}"
        for name in names - {"file"}:
            os.utime(tmp_path / name, (1, 1))  # the server may still write what it had received
        again.start_dir(b"/")


@needs_root
def test_a_full_disk_leaves_whole_files_only(opened: Open, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        there = opened(disk)
        there.start_dir(b"/")
        entry = replace(FILE, size=3_000_000)
        there.write_file(b"/first", entry, [bytes(1_000_000)] * 3)
        with pytest.raises(TargetFull, match="no space"):
            there.write_file(b"/second", entry, [bytes(1_000_000)] * 3)
        there.close()
        assert [(each.name, each.stat().st_size) for each in disk.iterdir()] == [("first", 3_000_000)]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_the_way_is_chosen_by_what_the_host_can(
    sshd: Sshd, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    busybox = start_busybox(tmp_path_factory.mktemp("busybox"))
    sftp_only = SshHostSettings(sshd.server(key=sshd.sftp_only_key))
    try:
        found = [
            open_target(SshHostSettings(sshd.server()), str(tmp_path / "new")),
            open_target(SshHostSettings(sshd.server()), str(tmp_path), in_place=True),
            open_target(sftp_only, str(tmp_path), in_place=True),
            open_target(SshHostSettings(busybox.server()), str(tmp_path), in_place=True),
        ]
        assert [type(each) for each in found] == [SshTarget, SshInPlaceTarget, SftpTarget, SftpTarget]
        found[3].start_dir(b"/")
        assert found[3].write_file(b"/file", FILE, [b"12345"]) == []
        for each in found:
            each.close()
    finally:
        stop_sshd(busybox)
    assert (tmp_path / "file").read_text() == "12345"
    assert (tmp_path / "file").stat().st_mtime_ns == 10**18
