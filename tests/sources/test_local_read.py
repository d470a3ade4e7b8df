"""Small files read while they are listed: as listing and opening gives them, and only if they kept still."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from repository.entries import Entry
from sources import local_read
from sources.local import LocalSource

MIB = 1 << 20


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "top"
    folder.mkdir()
    (folder / "b").write_bytes(b"content of b")
    (folder / "a\udcff").write_bytes(b"")
    os.setxattr(folder / "b", "user.color", b"red")
    return folder


class Read:
    """What one go over a directory gave."""

    def __init__(self, top: Path, most_bytes: int = MIB, most_files: int = 1000) -> None:
        self.taken: list[tuple[Entry, bytes]] = []
        source = LocalSource([os.fsencode(top)])
        self.listing = source.read_dir(os.fsencode(top), most_bytes, most_files, self._take)
        self.listed = source.list_dir(os.fsencode(top))
        source.close()

    def _take(self, entry: Entry, content: bytes) -> None:
        self.taken.append((entry, content))

    @property
    def names(self) -> list[bytes]:
        return [entry.name for entry, _ in self.taken]

    @property
    def left(self) -> list[bytes]:
        return [entry.name for entry in self.listing.entries]


def test_it_gives_each_file_as_the_listing_has_it_with_its_content(top: Path) -> None:
    read = Read(top)
    assert read.taken == list(zip(read.listed.entries, [b"", b"content of b"], strict=True))
    assert read.taken[1][0].xattrs == ((b"user.color", b"red"),)
    assert (read.listing.entries, read.listing.problems) == ([], [])
    assert read.listing.fingerprint == read.listed.fingerprint != b""
    assert read.listing.newest_ns == read.listed.newest_ns


def test_it_leaves_all_that_is_no_small_file_of_one_name(top: Path) -> None:
    (top / "folder").mkdir()
    (top / "link").symlink_to("b")
    os.mkfifo(top / "pipe")
    (top / "first").write_bytes(b"1")
    os.link(top / "first", top / "second")
    (top / "large").write_bytes(bytes(13))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fsencode(top / "socket"))
        read = Read(top, most_bytes=12)
    assert read.names == [b"a\xff", b"b"]
    assert read.left == [b"first", b"folder", b"large", b"link", b"pipe", b"second"]
    assert read.listing.entries == [entry for entry in read.listed.entries if entry.name in read.left]
    assert read.listing.fingerprint == read.listed.fingerprint


def test_it_takes_no_more_files_than_asked_for(top: Path) -> None:
    read = Read(top, most_files=1)
    assert (read.names, read.left) == ([b"a\xff"], [b"b"])


def test_rules_hold(top: Path) -> None:
    taken: list[bytes] = []
    source = LocalSource([os.fsencode(top)], always_excluded=[(os.fsencode(top / "b"), "the test says so")])
    listing = source.read_dir(os.fsencode(top), MIB, 9, lambda entry, content: taken.append(entry.name))
    source.close()
    assert taken == [b"a\xff"]
    assert [each.name for each in listing.excluded] == [b"b"]


@pytest.mark.parametrize("change", ["grow", "shrink", "same size", "swap", "attribute", "go"])
def test_a_file_that_does_not_keep_still_is_left_to_be_opened_with_care(
    top: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """It changes after its content was read, which only the look at the end can see."""
    file = top / "b"

    def meddle() -> None:
        if change in ("grow", "shrink", "same size"):
            size = {"grow": 13, "shrink": 11, "same size": 12}[change]
            file.write_bytes(bytes(size))
        elif change == "attribute":
            os.setxattr(file, "user.color", b"blue")
        else:
            file.unlink()
            if change == "swap":
                file.write_bytes(b"another file")

    real = os.read

    def read_then_meddle(fd: int, count: int) -> bytes:
        data = real(fd, count)
        if data:
            meddle()
        return data

    monkeypatch.setattr(local_read.os, "read", read_then_meddle)
    taken: list[bytes] = []
    source = LocalSource([os.fsencode(top)])
    listing = source.read_dir(os.fsencode(top), MIB, 9, lambda entry, content: taken.append(entry.name))
    source.close()
    assert taken == [b"a\xff"]
    assert [entry.name for entry in listing.entries] == [b"b"]


def test_a_pipe_that_stands_in_a_files_place_does_not_hang_it(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local_read.open_quietly

    def swap_then_open(dir_fd: int, name: bytes) -> int:
        (top / "b").unlink(missing_ok=True)
        os.mkfifo(top / "b")
        return real(dir_fd, name)

    (top / "a\udcff").unlink()
    monkeypatch.setattr(local_read, "open_quietly", swap_then_open)
    read: list[Read] = []
    thread = threading.Thread(target=lambda: read.append(Read(top)), daemon=True)
    thread.start()
    thread.join(20)
    assert [each.taken for each in read] == [[]]


def test_what_may_not_be_opened_is_left_in_the_listing(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir_fd: int, name: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(local_read, "open_quietly", refuse)
    read = Read(top)
    assert (read.taken, read.left) == ([], [b"a\xff", b"b"])
