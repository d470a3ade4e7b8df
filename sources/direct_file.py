"""A large file written past the page cache, beside the thread that makes its content."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from sources.holes import BLOCK

# Buffers are a multiple of BLOCK, and lie on one: all that a disk asks of such writes.
_BUFFER_BYTES = 2 * 1024 * 1024
_BUFFERS = 4
_THREADS = 2  # one waits for the disk, the other for its turn in Python


class DirectFile:
    """Write parts of a new file, at ascending offsets; what is left out between them stays a hole.

    The kernel's copy of each page costs more than all else in the restore of a disk image, pushes out what
    others need, and would have to get to the disk in the end anyway. A file system that cannot do it (some
    of tmpfs and FUSE) is written to as usual. Close it before the descriptor.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pool = ThreadPoolExecutor(_THREADS, "write")
        self._free = [memoryview(mmap.mmap(-1, _BUFFER_BYTES)) for _ in range(_BUFFERS)]
        self._running: deque[tuple[Future[None], memoryview]] = deque()
        self._buffer = self._free.pop()
        self._start = self._end = 0  # the part of the file that the buffer holds; `_start` is at a block
        with suppress(OSError):  # not here, then
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)

    def write(self, data: memoryview, offset: int) -> None:
        """Take what stands at `offset`, not before what was taken so far. Raises OSError of any write."""
        while data:
            if offset - self._start >= _BUFFER_BYTES or offset - offset % BLOCK > _next_block(self._end):
                self._submit()
                self._start = self._end = offset - offset % BLOCK
            self._fill(offset)
            at = offset - self._start
            count = min(len(data), _BUFFER_BYTES - at)
            self._buffer[at : at + count] = data[:count]
            self._end = offset = offset + count
            data = data[count:]

    def finish(self, size: int) -> None:
        """Wait until all is written, and make the file `size` bytes long. Raises OSError."""
        self._submit()
        while self._running:
            self._running.popleft()[0].result()
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        """Wait until nothing is being written any more, whatever became of it."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self, offset: int) -> None:
        """Put zeros between what the buffer holds and `offset`."""
        if offset > self._end:
            self._buffer[self._end - self._start : offset - self._start] = bytes(offset - self._end)
            self._end = offset

    def _submit(self) -> None:
        if self._end == self._start:
            return
        self._fill(_next_block(self._end))  # the end of the file is cut off when it is finished
        part = self._buffer[: self._end - self._start]
        self._running.append((self._pool.submit(_write_at, self._fd, part, self._start), self._buffer))
        if not self._free:
            future, buffer = self._running.popleft()
            future.result()
            self._free.append(buffer)
        self._buffer = self._free.pop()


def _next_block(offset: int) -> int:
    return offset + -offset % BLOCK


def _write_at(fd: int, data: memoryview, offset: int) -> None:
    while data:
        was_direct = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
        try:
            count = os.pwrite(fd, data, offset)
        except OSError as err:
            if err.errno != errno.EINVAL or not was_direct:
                raise
            _end_direct(fd)  # the disk wants larger blocks
            continue
        data = data[count:]
        offset += count


def _end_direct(fd: int) -> None:
    """Write as usual from now on."""
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)
