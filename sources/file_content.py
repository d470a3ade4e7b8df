"""Write the content of a new file; runs of zeros become holes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing

from sources.direct_file import DirectFile
from sources.holes import BLOCK, data_extents
from sources.target_dirs import error_at

_DIRECT_BYTES = 8 * 1024 * 1024  # below that, a file is likely to be read again soon, and cheap to copy

_Write = Callable[[memoryview, int], None]  # a part of the file and its offset


def write_content(fd: int, path: bytes, chunks: Iterable[bytes], size: int, *, sparse: bool) -> None:
    """Write all chunks, expected to be `size` bytes together. Raises TargetError, and what `chunks` raises.

    `path` is for messages. Some of it may be on the disk already, most may not.
    """
    sparse = sparse and size >= BLOCK
    if size < _DIRECT_BYTES:
        _write_buffered(fd, path, chunks, sparse=sparse)
        return
    with closing(DirectFile(fd)) as file:
        _, total = _write_chunks(file.write, path, chunks, sparse=sparse)
        try:
            file.finish(total)
        except OSError as err:
            raise error_at(path, err) from err


def _write_buffered(fd: int, path: bytes, chunks: Iterable[bytes], *, sparse: bool) -> None:
    def write(data: memoryview, offset: int) -> None:
        while data:
            count = os.pwrite(fd, data, offset)
            data = data[count:]
            offset += count

    written, total = _write_chunks(write, path, chunks, sparse=sparse)
    if written < total:  # it ends in a hole
        try:
            os.ftruncate(fd, total)
        except OSError as err:
            raise error_at(path, err) from err


def _write_chunks(write: _Write, path: bytes, chunks: Iterable[bytes], *, sparse: bool) -> tuple[int, int]:
    """Return where the last written part ends, and the length of all chunks."""
    offset = written = 0
    for chunk in chunks:
        view = memoryview(chunk)
        try:
            for start, end in data_extents(chunk, offset) if sparse else [(0, len(chunk))]:
                write(view[start:end], offset + start)
                written = offset + end
        except OSError as err:
            raise error_at(path, err) from err
        offset += len(chunk)
    return written, offset
