"""Runs of zeros in what is written: they become holes."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 4096
_ZEROS = bytes(BLOCK)


def data_extents(chunk: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) parts of `chunk` that must be written, in order, never empty.

    Left out are the blocks of 4 KiB, aligned in the file (`chunk` begins at `offset` of it), that hold only
    zeros; at both ends of the chunk also a part of such a block.
    """
    length = len(chunk)
    head = min(-offset % BLOCK, length)
    start = head if chunk.startswith(bytes(head)) else 0
    firsts = chunk[head::BLOCK]  # of nearly all blocks that hold data, this byte tells it
    number = firsts.find(0)
    while number >= 0:
        block = head + number * BLOCK
        after = min(block + BLOCK, length)
        # startswith compares in place; a slice would copy, and comparing memoryviews goes item by item.
        if chunk.startswith(_ZEROS if after - block == BLOCK else bytes(after - block), block):
            if start < block:
                yield start, block
            start = after
        number = firsts.find(0, number + 1)
    if start < length:
        yield start, length
