"""Finding runs of zeros: nothing but zeros is left out, and no long run is written."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from repository.entries import Entry
from sources.holes import BLOCK, data_extents
from sources.local_target import LocalTarget

PIECES = st.lists(
    st.tuples(st.sampled_from([0, 1, 255]), st.integers(1, 3 * BLOCK)).map(lambda p: bytes([p[0]]) * p[1]),
    max_size=6,
)


@given(PIECES, st.integers(0, 2 * BLOCK))
@example([bytes(BLOCK)], 0)
@example([bytes(BLOCK - 1), b"x"], 1)
@example([b"x" * 70_000], 5)
@example([b"x" * 70_000, bytes(BLOCK), b"x"], 2)
@example([bytes(100), b"x" * 70_000], BLOCK - 100)
@example([b"x" * 70_000, bytes(BLOCK - 1)], 0)
def test_only_zeros_are_left_out_and_all_whole_blocks_of_them(pieces: list[bytes], offset: int) -> None:
    chunk = b"".join(pieces)
    extents = list(data_extents(chunk, offset))
    rebuilt = bytearray(len(chunk))
    for start, end in extents:
        assert start < end
        rebuilt[start:end] = chunk[start:end]
    assert rebuilt == chunk
    assert all(one[1] < other[0] for one, other in pairwise(extents))
    for block in range(-offset % BLOCK, len(chunk) - BLOCK + 1, BLOCK):
        if not any(chunk[block : block + BLOCK]):
            assert all(end <= block or start >= block + BLOCK for start, end in extents)


def test_a_zero_region_with_a_tail_becomes_a_hole_whatever_the_chunks(tmp_path: Path) -> None:
    content = b"head" + bytes(5 << 20) + b"tail"
    for size in (len(content), 1 << 20, 700_001):
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        entry = Entry(b"f", "file", 0o644, 0, size=len(content), uid=os.getuid(), gid=os.getgid())
        assert LocalTarget(tmp_path).write_file(b"/f", entry, chunks) == []
        assert (tmp_path / "f").read_bytes() == content
        assert (tmp_path / "f").stat().st_blocks * 512 <= 4 * BLOCK
        LocalTarget(tmp_path, sparse=False).write_file(b"/f", entry, chunks)
        assert (tmp_path / "f").read_bytes() == content
        assert (tmp_path / "f").stat().st_blocks * 512 >= len(content)


def test_nothing_but_zeros_and_a_hole_at_the_end(tmp_path: Path) -> None:
    for content in (bytes(1 << 20), b"x" + bytes(1 << 20), bytes(BLOCK), bytes(5)):
        entry = Entry(b"f", "file", 0o644, 0, size=len(content), uid=os.getuid(), gid=os.getgid())
        LocalTarget(tmp_path).write_file(b"/f", entry, [content])
        assert (tmp_path / "f").read_bytes() == content
        assert (tmp_path / "f").stat().st_blocks * 512 <= BLOCK


def test_parts_of_blocks_at_the_ends_of_a_long_chunk_are_left_out_too() -> None:
    middle = b"x" * 20 * BLOCK
    assert list(data_extents(bytes(100) + middle, BLOCK - 100)) == [(100, 100 + len(middle))]
    assert list(data_extents(middle + bytes(100), 0)) == [(0, len(middle))]
    assert list(data_extents(middle, 7)) == [(0, len(middle))]
