"""Runs of zeros in what is written: they become holes."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 4096
_ZEROS = bytes(BLOCK)
_SEARCHED = 16 * BLOCK  # from here on one search for zeros is faster than a look at each block


def data_extents(chunk: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) parts of `chunk` that must be written, in order, never empty.

    Left out are the blocks of 4 KiB, aligned in the file (`chunk` begins at `offset` of it), that hold only
    zeros; at both ends of the chunk also a part of such a block.
    """
    if len(chunk) > _SEARCHED and chunk.find(_ZEROS) < 0 and not _has_zero_end(chunk, offset):
        yield 0, len(chunk)
        return
    start = -1
    at = 0
    end = len(chunk)
    step = BLOCK - offset % BLOCK
    while at < end:
        after = min(at + step, end)
        # startswith compares in place; a slice would copy, and comparing memoryviews goes item by item.
        is_zero = chunk.startswith(_ZEROS if after - at == BLOCK else bytes(after - at), at)
        if is_zero and start >= 0:
            yield start, at
            start = -1
        elif not is_zero and start < 0:
            start = at
        at = after
        step = BLOCK
    if start >= 0:
        yield start, end


def _has_zero_end(chunk: bytes, offset: int) -> bool:
    """Tell whether the part of a block at the start or at the end of the chunk holds only zeros."""
    head, tail = -offset % BLOCK, (offset + len(chunk)) % BLOCK
    return (head > 0 and chunk.startswith(bytes(head))) or (tail > 0 and chunk.endswith(bytes(tail)))
