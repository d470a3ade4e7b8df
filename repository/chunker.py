"""Cut files into chunks at places that their content decides (FastCDC), secret per repository."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyfastcdc

from repository.errors import RepositoryError

Readinto = Callable[[memoryview], int]


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How long chunks are, in bytes. `normalization`: a higher level keeps them nearer the average."""

    minimum: int
    average: int
    maximum: int
    normalization: Literal[0, 1, 2, 3]


# Changing any of these makes every large file new in every repository.
CHUNK_SIZES = ChunkSizes(minimum=512 * 1024, average=1024 * 1024, maximum=8 * 1024 * 1024, normalization=2)


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

    def cut(self, readinto: Readinto, expected: int = 0) -> Iterator[bytes]:
        """Yield the chunks of what `readinto` delivers until it returns 0; nothing for an empty stream.

        The cuts do not depend on how much each call delivers. What is at most the minimum is one chunk.
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
        stream = _Prepended(bytes(head), readinto)
        for chunk in self._cutter.cut_stream(stream):
            yield bytes(chunk.data)  # the view is valid only until the next chunk


def cut_seed(polynomial: str) -> int:
    """Return the seed of FastCDC for a repository, from `chunker_polynomial` as its config writes it.

    pyfastcdc overflows from 2^63 on and takes 0 as "no seed".
    """
    digest = hashlib.sha256(polynomial.encode()).digest()
    return (int.from_bytes(digest[:8], "little") & (2**63 - 1)) or 1


class _Prepended:
    """A stream that delivers some bytes first, then whatever `readinto` delivers."""

    def __init__(self, head: bytes, readinto: Readinto) -> None:
        self._head = memoryview(head)
        self._readinto = readinto

    def readinto(self, buffer: memoryview) -> int:
        if not self._head:
            return self._readinto(buffer)
        count = min(len(buffer), len(self._head))
        buffer[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


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
