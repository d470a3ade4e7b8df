"""Restores to a host: the same tree there, in a new folder, or nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import Entry, TargetError, TargetFull
from repository.restore import restore
from sources.local import LocalSource
from sources.ssh import target_scripts as scripts
from sources.ssh.host import SshHostSettings
from sources.ssh.target import SshTarget
from tests.repository.engine import latest, make_backup, new_repo
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import copy, differences, needs_root
from tests.waiting import wait_for

FILE = Entry(b"file", "file", 0o644, 0, size=5)


def target(sshd: Sshd, place: Path, port: int | None = None) -> SshTarget:
    return SshTarget(SshHostSettings(sshd.server(port=port)), str(place))


def test_the_nasty_tree_arrives_as_it_was(sshd: Sshd, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    (tree / "kinds" / "socket").unlink()
    os.link(tree / "sizes" / "sparse", tree / "sizes" / "another name")
    os.utime(tree, ns=(1, 1))
    repo = new_repo()
    make_backup(repo, tree)
    repo.load_index()
    there = target(sshd, tmp_path / "there")
    problems: list[object] = []
    result = restore(repo, latest(repo), there, report=problems.append)
    there.close()
    assert problems == []
    assert result.failed == 0
    arrived = Path(f"{tmp_path}/there{tree}")
    assert differences(tree, arrived, links=True) == ""
    assert differences(arrived, tree, links=True) == ""
    sparse = (arrived / "sizes" / "sparse").stat()
    assert sparse.st_blocks * 512 < sparse.st_size // 4, "it still has its holes"
    assert [each.name for each in tmp_path.iterdir() if "holdfast" in each.name] == []


def test_it_is_not_there_before_it_is_whole(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    there = target(sshd, tmp_path / "there")
    assert copy(LocalSource([str(tmp_path / "tree")]), there) == []
    assert not (tmp_path / "there").exists()
    there.close()
    wait_for(lambda: [each.name for each in tmp_path.iterdir()] == ["tree"])  # without flush, nothing is left


def test_a_folder_that_holds_something_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "link").symlink_to("/")
    for place in (tmp_path / "full", tmp_path / "link", tmp_path / "not here" / "new"):
        there = target(sshd, place)
        with pytest.raises(TargetError, match="does not exist yet"):
            there.start_dir(b"/")
        there.close()
    for bad in ("relative", "/"):
        with pytest.raises(TargetError, match="absolute"):
            target(sshd, Path(bad))


def test_a_file_whose_content_is_missing_is_not_there_at_all(sshd: Sshd, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"ab"
        raise TargetError("damaged")

    there = target(sshd, tmp_path / "there")
    there.start_dir(b"/")
    there.write_file(b"/good", replace(FILE, name=b"good"), [b"hel", b"lo"])
    with pytest.raises(TargetError, match="damaged"):
        there.write_file(b"/bad", FILE, broken())
    with pytest.raises(TargetError, match="not as long"):
        there.write_file(b"/short", FILE, [b"x"])
    with pytest.raises(TargetError, match="not as long"):
        there.write_file(b"/long", FILE, [b"123456"])
    there.write_file(b"/last", FILE, [b"12345"])
    there.flush()
    there.close()
    assert {each.name: each.read_bytes() for each in (tmp_path / "there").iterdir()}.keys() >= {
        "good",
        "last",
    }
    assert not (tmp_path / "there" / "bad").exists()
    assert not (tmp_path / "there" / "short").exists()


@pytest.mark.parametrize("path", [b"/../x", b"/a/../../x", b"x", b"//x", b"/a\0b", b"/.", b""])
def test_names_that_lead_elsewhere_are_refused(sshd: Sshd, tmp_path: Path, path: bytes) -> None:
    there = target(sshd, tmp_path / "there")
    with pytest.raises(TargetError, match="no path that may be restored"):
        there.write_file(path, FILE, [b"12345"])
    there.close()


@needs_root
def test_a_full_disk_ends_the_restore_and_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path / "disk")], check=True)
    try:
        there = target(sshd, tmp_path / "disk" / "there")
        there.start_dir(b"/")
        size = 8_000_000

        def fill() -> None:
            for number in range(10):
                there.write_file(b"/%d" % number, replace(FILE, size=size), [bytes(1_000_000)] * 8)
            there.flush()

        with pytest.raises(TargetFull, match="no space left"):
            fill()
        there.close()
        assert list((tmp_path / "disk").iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], check=True)


def test_a_cut_leaves_no_half_restore_under_its_name(sshd: Sshd, tmp_path: Path) -> None:
    with wire_to(sshd.port) as wire:
        there = target(sshd, tmp_path / "there", wire.port)
        there.start_dir(b"/")
        wire.cut_after(up=3_000_000)
        with pytest.raises(TargetFull, match="broke"):
            there.write_file(b"/x", replace(FILE, size=8_000_000), [os.urandom(1_000_000)] * 8)
        there.close()
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_disk_that_gives_away_what_root_makes_is_named(tmp_path: Path) -> None:
    """As NFS with root_squash does it."""
    tools, above = tmp_path / "tools", tmp_path / "above"
    tools.mkdir()
    above.mkdir()
    (above / "new").mkdir()
    squash = '#!/bin/sh\n/bin/mkdir "$@" && for last; do :; done; chown 65534 "$last"\n'
    (tools / "mkdir").write_text(squash)
    (tools / "mkdir").chmod(0o755)
    places = [above / "new", above / ".holdfast-x", above]
    done = subprocess.run(
        ["sh", "-c", scripts.script(scripts.START_NEW), "holdfast", *places],
        env={"PATH": f"{tools}:/usr/bin:/bin", "HOLDFAST_PINNED": "no"},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode, b"root_squash" in done.stderr) == (5, True), done.stderr
    assert list(above.iterdir()) == [above / "new"], "neither goes what stood there, nor stays what was made"
