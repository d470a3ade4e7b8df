"""What comes to stand at a local target while a restore runs is left alone, but by the rule to replace."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.entries import Conflict, Entry, TargetError
from sources import rename_new
from sources.local_target import LocalTarget

UID, GID = os.getuid(), os.getgid()
AT_NS = 10**18
ENTRY = Entry(b"f", "file", 0o644, AT_NS, uid=UID, gid=GID, size=3)
LINK = Entry(b"f", "symlink", 0o777, AT_NS, uid=UID, gid=GID, linktarget=b"to")
LEFT_ALONE = "cannot restore /f: something came to stand there while the restore ran, and was left alone"


def chunks(place: Path, text: str = "theirs", mtime_ns: int | None = None) -> Iterator[bytes]:
    """Yield the content of a restored file, once another stands in its place."""
    place.write_text(text)
    if mtime_ns is not None:
        os.utime(place, ns=(mtime_ns, mtime_ns))
    yield b"new"


@pytest.fixture(params=["kernel", "links", "neither"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run on a system that has the call, one that has hard links only, and one that has neither."""
    if request.param != "kernel":
        monkeypatch.setattr(rename_new, "_renameat2", None)
    if request.param == "neither":
        link = os.link

        def refuse(first: bytes, name: bytes, **options: int) -> None:
            if first.startswith(b".holdfast-"):
                raise OSError(errno.EPERM, "no links here")
            link(first, name, **options)

        monkeypatch.setattr(rename_new.os, "link", refuse)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rule", ["keep", "rename", "replace-if-older"])
def test_what_came_meanwhile_is_left_alone(tmp_path: Path, rule: Conflict) -> None:
    target = LocalTarget(tmp_path, rule=rule)
    with pytest.raises(TargetError, match=LEFT_ALONE):
        target.write_file(b"/f", ENTRY, chunks(tmp_path / "f"))
    assert (tmp_path / "f").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rule", ["keep", "rename", "replace-if-older", "replace"])
def test_what_is_new_gets_its_place_by_every_rule(tmp_path: Path, rule: Conflict) -> None:
    target = LocalTarget(tmp_path, rule=rule)
    assert target.write_file(b"/f", ENTRY, [b"new"]) == []
    target.make_link(b"/g", b"/f")
    assert target.make_special(b"/l", LINK) == []
    assert (tmp_path / "g").read_text() == "new"
    assert os.readlink(tmp_path / "l") == "to"
    assert sorted(os.listdir(tmp_path)) == ["f", "g", "l"]


def test_only_replace_replaces_what_came_meanwhile(tmp_path: Path) -> None:
    LocalTarget(tmp_path).write_file(b"/f", ENTRY, chunks(tmp_path / "f"))
    assert (tmp_path / "f").read_text() == "new"


@pytest.mark.usefixtures("way")
def test_what_is_older_to_the_end_is_replaced_by_that_rule_alone(tmp_path: Path) -> None:
    old_ns = AT_NS - 60 * 10**9
    with pytest.raises(TargetError, match=LEFT_ALONE):
        LocalTarget(tmp_path, rule="keep").write_file(b"/f", ENTRY, chunks(tmp_path / "f", mtime_ns=old_ns))
    target = LocalTarget(tmp_path, rule="replace-if-older")
    target.write_file(b"/f", ENTRY, chunks(tmp_path / "f", mtime_ns=old_ns))
    assert (tmp_path / "f").read_text() == "new"


@pytest.mark.usefixtures("way")
def test_what_an_earlier_try_of_this_restore_put_there_is_replaced(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path, rule="keep")
    target.write_file(b"/f", ENTRY, chunks(tmp_path / "f", "odd", AT_NS - 10**9))
    assert (tmp_path / "f").read_text() == "new"
    for _ in range(2):
        target.make_link(b"/g", b"/f")
        target.make_special(b"/l", LINK)
    assert sorted(os.listdir(tmp_path)) == ["f", "g", "l"]


def test_links_and_specials_are_left_alone_as_well(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path, rule="keep")
    target.write_file(b"/first", ENTRY, [b"new"])
    (tmp_path / "f").write_text("theirs")
    with pytest.raises(TargetError, match=LEFT_ALONE):
        target.make_link(b"/f", b"/first")
    with pytest.raises(TargetError, match=LEFT_ALONE):
        target.make_special(b"/f", LINK)
    assert (tmp_path / "f").read_text() == "theirs"
    assert sorted(os.listdir(tmp_path)) == ["f", "first"]


def test_a_copy_in_another_process_keeps_the_rule(tmp_path: Path) -> None:
    target = pickle.loads(pickle.dumps(LocalTarget(tmp_path, rule="keep", pinned=True)))
    with pytest.raises(TargetError, match=LEFT_ALONE):
        target.write_file(b"/f", ENTRY, chunks(tmp_path / "f"))


def test_other_refusals_are_told_as_they_are(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError):
            rename_new.rename_new(folder, b"none", b"f")
    finally:
        os.close(folder)
