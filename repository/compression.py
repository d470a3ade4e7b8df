"""zstd, for blobs and for unpacked files (restic-format.md, section 5)."""

from __future__ import annotations

import threading
from typing import Literal

import zstandard

from repository.errors import Damaged

# `rows`: as fast as `auto`, tuned for the rows of databases as text.
Mode = Literal["off", "auto", "max", "rows"]

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
MAX_WINDOW_BYTES = 128 * 1024 * 1024  # what restic accepts
_LEVELS: dict[Mode, int] = {"auto": 3, "max": 11, "rows": 3}
# Short matches in rows are chance, and longer ones are lost by them: columns of numbers shrink by 7 % more,
# rows of pgbench by 3 % (mixed text: 0.2 % less), in less time. Programs would grow by 2 %: not for files.
_LEAST_MATCH = 6
_CHUNK_BYTES = 2 * 1024 * 1024  # about: what the parameters of a level are made for
# The tables of level 3 for what is large take most of a processor's second cache, which two workers may
# share. Half as large ones are found in it: an eighth less time, for half a percent more bytes.
_LARGE_BYTES = 128 * 1024
_HASH_LOG, _CHAIN_LOG = 16, 15
# Rows that are nearly alike repeat far back, and in short pieces: 5 % smaller so. What shrinks that much is
# compressed in no time, and can be twice.
_NEARLY_ALIKE = 20
_MARK = b"\x02"
_ONE_SHOT_BYTES = 16 * 1024 * 1024
# A block of 4 bytes can stand for 128 KiB; so one slice makes at most about 8 MiB before the limit is seen.
_SLICE = 256

Buffer = bytes | bytearray | memoryview
_Kind = Mode | Literal["alike", "large"]  # of compressors


def compress_blob(data: Buffer, mode: Mode, *, always: bool = False) -> bytes | None:
    """Return `data` as one zstd frame, or None if it is to be stored as it is.

    None for mode "off", for empty data, and where nothing is gained, unless `always`: tree blobs of a
    version 2 repository must be compressed (in any mode but "off"), else `restic prune` writes them again.
    """
    if mode == "off" or not len(data):
        return None
    if mode == "rows":
        frame = _compress_rows(data)
    else:
        is_large = mode == "auto" and len(data) > _LARGE_BYTES
        frame = _compressor("large" if is_large else mode).compress(data)
    return frame if always or len(frame) < len(data) else None


def decompress_blob(frame: Buffer, uncompressed_length: int) -> bytes:
    """Return the content of one frame. Raises Damaged unless it is whole and of exactly this length."""
    content = _decompress(frame, uncompressed_length, "a blob")
    if len(content) != uncompressed_length:
        raise Damaged(f"a blob decompresses to {len(content)} bytes, its pack says {uncompressed_length}")
    return content


def encode_unpacked(json: bytes, version: int) -> bytes:
    """Return what is sealed for a snapshot, an index or a lock in a repository of this version."""
    return json if version < 2 else _MARK + _compressor("auto").compress(json)


def decode_unpacked(data: bytes, version: int, max_bytes: int = MAX_UNPACKED_BYTES) -> bytes:
    """Return the JSON text of an unpacked file. Raises Damaged if it is neither JSON nor a whole frame."""
    if data[:1] in (b"{", b"["):
        return data
    if version < 2 or data[:1] != _MARK:
        raise Damaged("the file starts neither with JSON nor with the mark of compressed JSON")
    return _decompress(memoryview(data)[1:], max_bytes, "the file")


def _decompress(frame: Buffer, limit: int, what: str) -> bytes:
    """Return the content of exactly one frame, at most `limit` bytes of it."""
    try:
        size = zstandard.frame_content_size(frame)
        if size > limit:
            raise Damaged(f"{what} claims to decompress to {size} bytes, more than the {limit} allowed")
        if size >= 0 or 0 < limit <= _ONE_SHOT_BYTES:
            return _tools.decompressor.decompress(frame, max_output_size=limit, allow_extra_data=False)
        return _decompress_stream(frame, limit, what)
    except zstandard.ZstdError as err:
        raise Damaged(f"{what} is not a whole zstd frame: {err}") from err


def _decompress_stream(frame: Buffer, limit: int, what: str) -> bytes:
    """Decompress a frame that does not say its size, without ever holding much more than `limit`."""
    stream = _tools.decompressor.decompressobj()
    parts, total = [], 0
    view = memoryview(frame)
    for start in range(0, len(view), _SLICE):
        part = stream.decompress(view[start : start + _SLICE])
        total += len(part)
        if total > limit:
            raise Damaged(f"{what} decompresses to more than the {limit} bytes allowed")
        parts.append(part)
    # After the end of the frame, another slice is a ZstdError already.
    if not stream.eof or stream.unused_data:
        raise Damaged(f"{what} is not a whole zstd frame: cut off, or followed by other bytes")
    return b"".join(parts)


class _Tools(threading.local):
    """The (de)compressors of one thread: making them costs more than a small blob."""

    def __init__(self) -> None:
        self.compressors: dict[_Kind, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)


_tools = _Tools()


def _compress_rows(data: Buffer) -> bytes:
    frame = _compressor("rows").compress(data)
    if len(frame) * _NEARLY_ALIKE > len(data):
        return frame
    return min(frame, _compressor("alike").compress(data), key=len)


def _compressor(mode: _Kind) -> zstandard.ZstdCompressor:
    compressor = _tools.compressors.get(mode)
    if compressor is None:
        compressor = _make(mode)
        _tools.compressors[mode] = compressor
    return compressor


def _make(mode: _Kind) -> zstandard.ZstdCompressor:
    if mode == "alike":
        return _tuned(min_match=4, window_log=23)
    if mode == "large":
        return _tuned(hash_log=_HASH_LOG, chain_log=_CHAIN_LOG)
    return _tuned(min_match=_LEAST_MATCH) if mode == "rows" else zstandard.ZstdCompressor(level=_LEVELS[mode])


def _tuned(**parameters: int) -> zstandard.ZstdCompressor:
    """Return a compressor of the usual level with other parameters."""
    level = _LEVELS["rows"]
    found = zstandard.ZstdCompressionParameters.from_level(level, source_size=_CHUNK_BYTES, **parameters)
    return zstandard.ZstdCompressor(compression_params=found)
