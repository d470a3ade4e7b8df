"""Cut files into chunks at places that their content decides (FastCDC), secret per repository."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyfastcdc

from repository.errors import RepositoryError
from repository.read_blocks import ReadBlocks

Readinto = Callable[[memoryview], int]
Chunk = bytes | memoryview


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How long chunks are, in bytes. `normalization`: a higher level keeps them nearer the average."""

    minimum: int
    average: int
    maximum: int
    normalization: Literal[0, 1, 2, 3]


# Changing any of these makes every large file new in every repository.
CHUNK_SIZES = ChunkSizes(minimum=512 * 1024, average=1024 * 1024, maximum=8 * 1024 * 1024, normalization=2)


# What is left over at the end of a block is copied: the larger the block, the less that is.
_BLOCK_BYTES = CHUNK_SIZES.maximum * 3 // 2


class Chunker:
    """Cut streams for one repository. Not to be used by two threads at once: the library says so."""

    def __init__(self, polynomial: str) -> None:
        _require_native()
        self._cutter = pyfastcdc.FastCDC(
            CHUNK_SIZES.average,
            min_size=CHUNK_SIZES.minimum,
            max_size=CHUNK_SIZES.maximum,
            normalized_chunking=CHUNK_SIZES.normalization,
            seed=cut_seed(polynomial),
        )
        self._head = bytearray(CHUNK_SIZES.minimum + 1)
        self._blocks = ReadBlocks(_BLOCK_BYTES)

    def cut(self, readinto: Readinto, expected: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of what `readinto` delivers until it returns 0; nothing for an empty stream.

        The cuts do not depend on how much each call delivers. What is at most the minimum is one chunk.
        A chunk keeps its content as long as anything refers to it; whoever keeps many keeps the blocks they
        are views of. A chunk of maximum size that is followed by its like is yielded as the same object.
        `expected`: a file of this size is not asked for more once it has delivered that: the caller looks
        afterwards whether it has grown. It saves two of three system calls for a small file.
        """
        head = memoryview(self._head)
        if 0 < expected <= CHUNK_SIZES.minimum:
            filled = _fill(readinto, head[:expected])
            if filled:
                yield bytes(head[:filled])
            return
        filled = _fill(readinto, head)
        if filled <= CHUNK_SIZES.minimum:
            if filled:
                yield bytes(head[:filled])
            return
        # A copy: the next file may be started before this one is cut to its end.
        yield from self._cut_large(bytes(head), readinto)

    def _cut_large(self, rest: Chunk, readinto: Readinto) -> Iterator[Chunk]:
        """Cut a stream that starts with `rest`, a block at a time; what ends no chunk yet opens the next."""
        longest, is_first, ended = b"", True, False
        while not ended:
            block = memoryview(self._blocks.take())
            block[: len(rest)] = rest
            filled = len(rest) + _fill(readinto, block[len(rest) :])
            ended, rest = filled < len(block), block[:filled]
            del block  # it is in use as long as `rest` or a chunk is
            copied = is_first and ended  # a few chunks of a smaller file are not to keep a whole block
            while rest:
                length = self._chunk_length(rest, longest)
                if length == len(rest) and not ended:
                    break
                chunk, rest = rest[:length], rest[length:]
                if length < CHUNK_SIZES.maximum:
                    yield bytes(chunk) if copied else chunk
                    continue
                longest = longest if longest.startswith(chunk) else bytes(chunk)
                yield longest
            is_first = False
        self._blocks.keep_one()  # the next large file may be far away

    def _chunk_length(self, data: memoryview, longest: bytes) -> int:
        """Return where the first chunk of `data` ends, as far as it is known: it may go on behind the end.

        Runs of zeros are chunks of maximum size: comparing them with the one before is far cheaper than
        cutting them, and equal bytes are cut equally.
        """
        if longest and len(data) >= len(longest) and longest.startswith(data[: len(longest)]):
            return len(longest)
        return int(next(self._cutter.cut_buf(data)).length)


def cut_seed(polynomial: str) -> int:
    """Return the seed of FastCDC for a repository, from `chunker_polynomial` as its config writes it.

    pyfastcdc overflows from 2^63 on and takes 0 as "no seed".
    """
    digest = hashlib.sha256(polynomial.encode()).digest()
    return (int.from_bytes(digest[:8], "little") & (2**63 - 1)) or 1


def _fill(readinto: Readinto, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = readinto(buffer[filled:])
        if count <= 0:
            break
        filled += count
    return filled


def _require_native() -> None:
    """Refuse the library's fall-back in plain Python: it is two hundred times slower."""
    origin: Any = pyfastcdc.FastCDC.__module__
    if not str(origin).startswith("pyfastcdc.cy"):
        raise RepositoryError(
            "pyfastcdc is installed without its compiled part, which makes backups 200 times slower; "
            "install a wheel for this platform, or a C compiler, and install pyfastcdc again"
        )
