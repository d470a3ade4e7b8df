"""Large files written past the page cache hold what was given, on every file system, or say why not."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repository.entries import Entry, TargetFull
from sources import direct_file, file_content
from sources.direct_file import DirectFile
from sources.holes import BLOCK
from sources.local_target import LocalTarget
from tests.sources.trees import needs_root

GAPS_AND_LENGTHS = st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers(1, 5 * BLOCK)), max_size=8)


@given(GAPS_AND_LENGTHS, st.integers(0, 2 * BLOCK))
@example([(0, BLOCK)], 0)
@example([(1, 1), (BLOCK - 2, 1)], 1)
@example([(0, 100), (2 * BLOCK - 100, 100)], 0)
@example([(BLOCK, 2 * BLOCK - 1), (1, 1)], 0)
def test_the_file_holds_what_was_given_and_zeros_between(parts: list[tuple[int, int]], rest: int) -> None:
    expected = bytearray()
    with NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_file, "_BUFFER_BYTES", 2 * BLOCK)
        with closing(DirectFile(file.fileno())) as direct:
            for gap, length in parts:
                data = os.urandom(length)
                expected += bytes(gap)
                direct.write(memoryview(data), len(expected))
                expected += data
            expected += bytes(rest)
            direct.finish(len(expected))
        assert Path(file.name).read_bytes() == expected


def test_a_large_gap_stays_a_hole(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file, closing(DirectFile(file.fileno())) as direct:
        direct.write(memoryview(b"x"), 5)
        direct.write(memoryview(b"y"), 1 << 30)
        direct.finish((1 << 30) + 10)
    found = os.stat(tmp_path / "f")
    assert (found.st_size, found.st_blocks * 512) == ((1 << 30) + 10, 2 * BLOCK)


def _entry(size: int) -> Entry:
    return Entry(b"f", "file", 0o640, 7 * 10**9, size=size, uid=os.getuid(), gid=os.getgid())


def test_a_large_file_comes_back_with_its_holes_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_content, "_DIRECT_BYTES", 1 << 20)
    content = os.urandom(3_000_001) + bytes(1 << 20) + b"text" * 300_000 + bytes(70_000)
    for size in (len(content), 1 << 20, 700_001):
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        assert LocalTarget(tmp_path).write_file(b"/f", _entry(len(content)), chunks) == []
        assert (tmp_path / "f").read_bytes() == content
        assert os.stat(tmp_path / "f").st_blocks * 512 < len(content) - (1 << 20)
        LocalTarget(tmp_path, sparse=False).write_file(b"/f", _entry(len(content)), chunks)
        assert (tmp_path / "f").read_bytes() == content
        assert os.stat(tmp_path / "f").st_mtime_ns == 7 * 10**9


def test_a_disk_that_wants_other_blocks_is_written_to_as_usual(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        direct = DirectFile(file.fileno())
        # What the system does where its blocks are larger: it refuses this length.
        direct_file._write_at(file.fileno(), memoryview(b"abc"), 0)
        direct.write(memoryview(b"d"), 3)
        direct.close()
    assert (tmp_path / "f").read_bytes() == b"abc"


@needs_root
def test_a_disk_that_is_full_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_content, "_DIRECT_BYTES", 1 << 20)
    image, place = tmp_path / "disk", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run([shutil.which("mkfs.ext4") or "/sbin/mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine cannot mount: {mounted.stderr.decode()}")
    try:
        with closing(LocalTarget(place)) as target, pytest.raises(TargetFull, match="no space is left"):
            target.write_file(b"/f", _entry(64 << 20), [os.urandom(1 << 20)] * 64)
        assert sorted(os.listdir(place)) == ["lost+found"]
    finally:
        subprocess.run(["umount", place], check=True)
