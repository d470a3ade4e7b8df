"""Put what was written to file systems on their disks."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)


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
