"""Temporary names of a restore, and what killed restores left of them."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import secrets
import stat
import time
from contextlib import suppress

_LEFTOVER = re.compile(rb"\.holdfast-[0-9a-f]{12}-[0-9]+\Z")
_OLD_S = 60.0
_OLD_UNLOCKED_S = 24 * 3600.0  # without a write, where no lock tells
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


class TempNames:
    """Names in one folder for things on their way to their own name: `.holdfast-<random>-<count>`."""

    def __init__(self) -> None:
        self._start = b".holdfast-%s-" % secrets.token_hex(6).encode()
        self._count = itertools.count(1)

    def next(self) -> bytes:
        """Return a name not given before."""
        return self._start + b"%d" % next(self._count)


def is_temp_name(name: bytes) -> bool:
    """Tell whether a name is one that a restore gives to what is on its way."""
    return _LEFTOVER.match(name) is not None


def claim(fd: int) -> None:
    """Mark an open temporary file as belonging to a living process, by a lock that ends with it.

    A file system without locks (some of NFS and CIFS) is written to without. Raises OSError.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise


def remove_leftovers(dir_fd: int) -> None:
    """Remove temporary names of dead restores from an open folder. Raises OSError."""
    for text in os.listdir(dir_fd):
        name = os.fsencode(text)
        if _LEFTOVER.match(name) and _is_dead(dir_fd, name):
            with suppress(FileNotFoundError):  # another thread was faster
                os.unlink(name, dir_fd=dir_fd)


def _is_dead(dir_fd: int, name: bytes) -> bool:
    """Tell whether nobody writes to it any more; what we may not look at, or is gone, counts as alive."""
    try:
        return _nobody_holds(dir_fd, name)
    except (PermissionError, FileNotFoundError):
        return False


def _nobody_holds(dir_fd: int, name: bytes) -> bool:
    st = os.lstat(name, dir_fd=dir_fd)
    if not stat.S_ISREG(st.st_mode):
        # No lock is possible on these; but they get their own name at once.
        return not stat.S_ISDIR(st.st_mode) and time.time() - st.st_ctime > _OLD_S
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
        return time.time() - st.st_mtime > _OLD_UNLOCKED_S
    finally:
        os.close(fd)
    return True
