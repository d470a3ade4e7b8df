"""What a restore has sent, counted, so that it can be compared with what arrived."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

HOLE_BYTES = 64 * 1024
ZEROS = bytes(HOLE_BYTES)


@dataclass(slots=True)
class Census:
    """Names and sizes of any number of files, in any order, in little space."""

    count: int = 0
    sum: int = 0

    def add(self, name: bytes, size: int) -> None:
        """Count a file."""
        self.count += 1
        digest = blake2b(b"%d %s" % (size, name), digest_size=16).digest()
        self.sum = (self.sum + int.from_bytes(digest, "big")) % (1 << 128)


@dataclass(slots=True)
class Content:
    """What came of a file so far: `left` bytes are missing; `zeros`: a run is long enough for a hole."""

    left: int
    zeros: bool = False
    too_long: bool = False

    def take(self, chunk: bytes) -> bytes:
        """Return what of a chunk still fits."""
        self.too_long |= len(chunk) > self.left
        fitting = chunk[: self.left]
        self.left -= len(fitting)
        self.zeros |= ZEROS in fitting
        return fitting
