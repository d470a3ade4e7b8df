"""Open folders on the way down: any depth, few descriptors, no links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.dirfds import DirStack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[DirStack]:
    stack = DirStack(lambda: os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))
    yield stack
    stack.close()


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_it_goes_anywhere_from_anywhere(stack: DirStack, tmp_path: Path) -> None:
    for path in ("a/b/c", "a/d", "e"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("a/b/c", "a/b", "a/d", "", "e", "a/b/c", "e", "a/d"):
        fd = stack.open([os.fsencode(name) for name in path.split("/") if name])
        assert os.fstat(fd).st_ino == (tmp_path / path).stat().st_ino


def test_few_folders_stay_open_however_deep_it_goes(stack: DirStack, tmp_path: Path) -> None:
    before = open_count()
    names: list[bytes] = []
    inodes = []
    for _ in range(300):
        fd = stack.open(names)
        inodes.append(os.fstat(fd).st_ino)
        os.mkdir(b"d", dir_fd=fd)
        names.append(b"d")
    assert open_count() - before < 60
    for depth in (299, 250, 100, 0, 280):
        assert os.fstat(stack.open(names[:depth])).st_ino == inodes[depth]
    assert open_count() - before < 60
    stack.close()
    assert open_count() == before


def test_after_an_error_it_still_knows_where_it_is(stack: DirStack, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("b")
    for bad in ([b"a", b"none"], [b"a", b"link"], [b"a", b"b", b"none", b"x"]):
        with pytest.raises(OSError):
            stack.open(bad)
        assert os.fstat(stack.open([b"a", b"b"])).st_ino == (tmp_path / "a" / "b").stat().st_ino
