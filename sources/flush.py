"""Put what was written to file systems on their disks."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_LIBC = ctypes.CDLL(None, use_errno=True)
# Less makes many small writes of it; after more, too much is left for the end.
EARLY_EVERY_S = 1.0


def flush_file_system(fd: int) -> None:
    """Wait until all that was written to the file system of an open folder is on its disk.

    Raises OSError where that failed, as the kernel has told since Linux 5.8.
    """
    syncfs = getattr(_LIBC, "syncfs", None)
    if syncfs is None:  # a C library without it: all file systems then, and no word of errors
        os.sync()
    elif syncfs(fd):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@dataclass(slots=True)
class _FileSystem:
    """One that is written to: a folder in it, open from before the first write, and what its disk refused."""

    path: bytes
    fd: int
    error: OSError | None = None

    def flush(self) -> None:
        """Flush, unless that failed before: the kernel tells an error once, and the next call goes well."""
        if self.error is None:
            try:
                flush_file_system(self.fd)
            except OSError as err:
                self.error = err


class FlushFailed(Exception):
    """What was written to the file system of a folder did not get to its disk."""

    def __init__(self, path: bytes, error: OSError) -> None:
        super().__init__(f"{os.fsdecode(path)}: {error.strerror}")
        self.path = path
        self.error = error


class FileSystems:
    """The file systems that one tree is written to.

    Of each a descriptor is kept from before the first write: one that is opened later may never hear of an
    error that was told to another.
    """

    def __init__(self) -> None:
        self._by_device: dict[int, _FileSystem] = {}
        self._mutex = threading.Lock()

    def add(self, fd: int, path: bytes) -> None:
        """Note that an open folder is written to; `path` names it in errors. Raises OSError."""
        device = os.fstat(fd).st_dev
        with self._mutex:
            if device not in self._by_device:
                self._by_device[device] = _FileSystem(path, os.dup(fd))

    def flush(self) -> None:
        """Wait until all that was written is on the disks.

        Raises FlushFailed for what a disk refused, now or in `flushing_early`, each time anew.
        """
        self._flush()
        for each in self._by_device.values():
            if each.error is not None:
                raise FlushFailed(each.path, each.error) from each.error

    @contextmanager
    def flushing_early(self) -> Iterator[None]:
        """Flush in a thread every second until the block ends, so that the end is left little to do.

        Errors are kept for `flush`. Leaving the block waits for the flush that is under way.
        """
        stop = threading.Event()
        thread = threading.Thread(target=self._flush_until, args=(stop,), name="flush", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def __del__(self) -> None:
        for each in self._by_device.values():
            os.close(each.fd)

    def _flush_until(self, stop: threading.Event) -> None:
        while not stop.wait(EARLY_EVERY_S):
            self._flush()

    def _flush(self) -> None:
        with self._mutex:
            known = list(self._by_device.values())
        for each in known:
            each.flush()
