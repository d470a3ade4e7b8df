"""What a host sends packed by gzip or zstd, piece by piece, with an end to what one piece may become."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Literal

from zstandard import ZstdDecompressor, ZstdError

from sources.ssh.rows import Malformed
from sources.tar_member import TarError

Packer = Literal["", "gzip", "zstd"]

_MORE = "more comes after its end"
_GZIP = 31  # zlib's window bits for it
_PIECE_BYTES = 4 * 1024 * 1024
_ENOUGH_BYTES = 1024 * 1024
_SIP_BYTES = 2048  # zstandard sets no limit to what comes of it: four bytes may become 128 KiB
_MOST_WINDOW_BYTES = 8 * 1024 * 1024  # what an honest host at level 1 needs is a sixteenth


class BadlyPacked(Malformed, TarError):
    """What comes cannot be unpacked, or ends too soon: no listing, and no archive either."""


def unpacked(read: Callable[[], bytes], packer: Packer) -> Callable[[], bytes]:
    """Return what reads the plain text of what `read` gives, b"" at its end; that raises BadlyPacked."""
    return _from_zstd(read) if packer == "zstd" else _from_gzip(read)


def _from_gzip(read: Callable[[], bytes]) -> Callable[[], bytes]:
    unpacker = zlib.decompressobj(_GZIP)

    def read_plain() -> bytes:
        packed = unpacker.unconsumed_tail
        while not unpacker.eof:
            packed = packed or read()
            if not packed:
                raise BadlyPacked("it ends in the middle")
            try:
                data = unpacker.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise BadlyPacked(f"it cannot be unpacked: {error}") from error
            if data:
                return data
            packed = unpacker.unconsumed_tail
        if unpacker.unused_data:
            raise BadlyPacked(_MORE)
        return b""

    return read_plain


def _from_zstd(read: Callable[[], bytes]) -> Callable[[], bytes]:
    unpacker = ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES).decompressobj()
    left = memoryview(b"")

    def read_plain() -> bytes:
        nonlocal left
        parts, size = list[bytes](), 0
        while not unpacker.eof and size < _ENOUGH_BYTES:
            if not left:
                if size:
                    break
                left = memoryview(read())
                if not left:
                    raise BadlyPacked("it ends in the middle")
            try:
                parts.append(unpacker.decompress(left[:_SIP_BYTES]))
            except ZstdError as error:
                raise BadlyPacked(f"it cannot be unpacked: {error}") from error
            left = left[_SIP_BYTES:]
            size += len(parts[-1])
        if not size and (left or unpacker.unused_data):
            raise BadlyPacked(_MORE)
        return b"".join(parts)

    return read_plain
