"""Restores to a folder whose owner puts links where the restore has its own: nothing outside is touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import Entry, TargetError
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.target import SshTarget
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.trees import needs_root

FILE = Entry(b"file", "file", 0o644, 0, size=5)
KINDS = pytest.mark.parametrize("kind", [SshTarget, SshInPlaceTarget])

# Makes the folder, and puts a link there, as its owner's fast program could.
MKDIR = """#!/bin/sh
{mkdir} "$@" || exit
for last; do :; done
case $last in {pattern}) mv "$last" "$last.away" && ln -s {outside} "$last" ;; esac
"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that must stay as it is."""
    found = tmp_path / "outside"
    (found / "folder").mkdir(parents=True)
    for path in (found / "file", found / "folder" / "file"):
        path.write_text("precious")
    (found / "folder").chmod(0o755)
    yield found
    assert is_untouched(found)


def is_untouched(outside: Path) -> bool:
    files = [path.relative_to(outside) for path in outside.rglob("*") if path.is_file()]
    assert all((outside / path).read_text() == "precious" for path in files)
    rights = stat.S_IMODE((outside / "folder").stat().st_mode)
    return sorted(map(str, files)) == ["file", "folder/file"] and rights == 0o755


def begun(sshd: Sshd, place: Path, kind: type[SshTarget]) -> SshTarget:
    if kind is SshInPlaceTarget:
        (place / "folder").mkdir(parents=True)
    there = kind(SshHostSettings(sshd.server()), str(place))
    there.start_dir(b"/")
    there.start_dir(b"/folder")
    there.write_file(b"/folder/file", FILE, [b"12345"])
    with pytest.raises(TargetError, match="not as long"):
        there.write_file(b"/file", FILE, [b"x"])
    there.finish_dir(b"/folder", Entry(b"folder", "dir", 0o777, 0))
    return there


def swap(folder: Path, outside: Path) -> None:
    folder.rename(f"{folder}.away")
    folder.symlink_to(outside)


def swap_staging(tmp_path: Path, outside: Path) -> None:
    (staging,) = (path for path in tmp_path.rglob("*.holdfast-*") if not path.is_symlink())
    swap(staging, outside)


@KINDS
def test_what_arrived_is_not_looked_for_behind_a_link(
    sshd: Sshd, tmp_path: Path, outside: Path, kind: type[SshTarget]
) -> None:
    """What did not come whole would be removed there."""
    there = begun(sshd, tmp_path / "there", kind)
    swap_staging(tmp_path, outside)
    with pytest.raises(TargetError, match=r"somebody replaced .*holdfast-"):
        there.flush()
    there.close()


@KINDS
def test_nothing_is_taken_from_behind_a_link(
    sshd: Sshd, tmp_path: Path, outside: Path, kind: type[SshTarget], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = begun(sshd, tmp_path / "there", kind)
    counted = there._require_all

    def count_and_swap() -> None:
        counted()
        swap_staging(tmp_path, outside)

    monkeypatch.setattr(there, "_require_all", count_and_swap)
    with pytest.raises(TargetError, match=r"somebody replaced .*holdfast-"):
        there.flush()
    there.close()


def test_no_folder_behind_a_link_gets_rights(
    sshd: Sshd, tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = begun(sshd, tmp_path / "there", SshInPlaceTarget)
    assert isinstance(there, SshInPlaceTarget)
    describe = there._describe_folders

    def swap_and_describe() -> None:
        swap(tmp_path / "there", outside)
        describe()

    monkeypatch.setattr(there, "_describe_folders", swap_and_describe)
    with pytest.raises(TargetError, match=r"somebody replaced .*there"):
        there.flush()
    there.close()


@pytest.fixture
def swapping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path], Sshd]]:
    """Return what starts a host where folders with such names are links as soon as they are made."""
    servers = []

    def start(pattern: str, outside: Path) -> Sshd:
        folder = tmp_path_factory.mktemp("host")
        (folder / "tools").mkdir()
        tool = folder / "tools" / "mkdir"
        tool.write_text(MKDIR.format(mkdir=shutil.which("mkdir"), pattern=pattern, outside=outside))
        tool.chmod(0o755)
        servers.append(start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}"))
        return servers[-1]

    yield start
    for server in servers:
        stop_sshd(server)


@KINDS
@pytest.mark.parametrize("empty", [False, True])
def test_nothing_is_unpacked_behind_a_link(
    swapping: Callable[[str, Path], Sshd], tmp_path: Path, outside: Path, kind: type[SshTarget], empty: bool
) -> None:
    (tmp_path / "there").mkdir()
    if kind is SshInPlaceTarget:
        (tmp_path / "there" / "something").touch()
    elsewhere = outside / "folder" / "empty" if empty else outside
    elsewhere.mkdir(exist_ok=True)
    host = swapping("*holdfast-*", elsewhere)
    there = kind(SshHostSettings(host.server()), str(tmp_path / "there"))
    with pytest.raises(TargetError, match=r"somebody replaced .*holdfast-"):
        there.start_dir(b"/")
    there.close()
    assert not empty or list(elsewhere.iterdir()) == []


@needs_root
def test_nothing_is_copied_to_or_removed_behind_a_link(
    swapping: Callable[[str, Path], Sshd], tmp_path: Path, outside: Path
) -> None:
    """On another file system, where the host makes one more folder of its own."""
    place = tmp_path / "there"
    (place / "disk").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place / "disk"], check=True)
    try:
        there = SshInPlaceTarget(
            SshHostSettings(swapping(".holdfast-moving-*", outside).server()), str(place)
        )
        there.start_dir(b"/")
        there.start_dir(b"/disk")
        there.write_file(b"/disk/file", FILE, [b"12345"])
        there.write_file(b"/other", replace(FILE, name=b"other"), [b"12345"])
        with pytest.raises(TargetError, match="is not what was made"):
            there.flush()
        there.close()
        assert (place / "other").read_bytes() == b"12345"
    finally:
        subprocess.run(["umount", "--lazy", place / "disk"], check=True)
