"""What a host sends in gzip's format, piece by piece, with an end to what one piece may become."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from sources.ssh.rows import Malformed

_GZIP = 31  # zlib's window bits for it
_PIECE_BYTES = 4 * 1024 * 1024


def unpacked(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return what reads the plain text of what `read` gives; that raises Malformed."""
    unpacker = zlib.decompressobj(_GZIP)

    def read_plain() -> bytes:
        packed = unpacker.unconsumed_tail
        while not unpacker.eof:
            packed = packed or read()
            if not packed:
                raise Malformed("it ends in the middle")
            try:
                data = unpacker.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise Malformed(f"it cannot be unpacked: {error}") from error
            if data:
                return data
            packed = unpacker.unconsumed_tail
        return b""

    return read_plain
