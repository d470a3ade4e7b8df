"""One regular file of this machine, open for reading, as an OpenFile."""

from __future__ import annotations

import errno
import os
import stat

from repository.entries import Entry, Problem, ProblemKind
from sources.metadata import entry_from_stat, read_xattrs

# O_NONBLOCK: a fifo put there meanwhile must not hang us. O_NOFOLLOW: nor a symlink lead us away.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LARGE = 1 << 20
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class LocalFile:
    """A regular file, read once from start to end. `path` is its tree path."""

    def __init__(self, fd: int, path: bytes, st: os.stat_result) -> None:
        self.path = path
        self._fd = fd
        self._name = path.rpartition(b"/")[2]
        self.entry: Entry = self._entry(st)
        if st.st_size >= _LARGE:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current place; return the count of bytes, 0 at the end. Raises OSError."""
        filled = 0
        while filled < len(buffer):
            count = os.readv(self._fd, [buffer[filled:]])
            if count == 0:
                break
            filled += count
        return filled

    def entry_now(self) -> Entry:
        """Return the metadata as it is now. Raises OSError."""
        st, then = os.fstat(self._fd), self.entry
        if (st.st_ctime_ns, st.st_mtime_ns, st.st_size) == (then.ctime_ns, then.mtime_ns, then.size):
            return then  # any change of metadata shows in the ctime
        return self._entry(st)

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _entry(self, st: os.stat_result) -> Entry:
        try:
            xattrs = read_xattrs(self._fd)
        except OSError:
            xattrs = ()  # the content is still worth having; the listing has told of the attributes
        return entry_from_stat(self._name, st, xattrs=xattrs)


def open_file(dir_fd: int, name: bytes, path: bytes) -> LocalFile | Problem:
    """Open `name` in an open directory; a Problem if it cannot be, or is no regular file any more."""
    fd = -1
    try:
        fd = open_quietly(dir_fd, name)
        st = os.fstat(fd)
        if stat.S_ISREG(st.st_mode):
            return LocalFile(fd, path, st)
    except OSError as err:
        if fd >= 0:
            os.close(fd)
        return problem_from(path, err)
    os.close(fd)
    return Problem(path, "vanished", "it was a file when listed, and is something else now")


def problem_from(path: bytes, err: OSError) -> Problem:
    """Return what an error while opening or listing means for the backup."""
    if err.errno in _GONE:
        return Problem(path, "vanished", f"it was there when listed, and is gone now: {err.strerror}")
    kind: ProblemKind = "unreadable"
    hint = "; run the backup as a user who may read it" if err.errno in (errno.EACCES, errno.EPERM) else ""
    return Problem(path, kind, f"cannot be read: {err.strerror}{hint}")


def open_quietly(dir_fd: int, name: bytes) -> int:
    """Open without touching the access time where the kernel lets us: only the owner or root may."""
    try:
        return os.open(name, _FLAGS | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, _FLAGS, dir_fd=dir_fd)
    except BlockingIOError:
        # A program (Samba) holds a lease on this regular file: wait until the kernel has taken it back.
        return os.open(name, _FLAGS & ~os.O_NONBLOCK, dir_fd=dir_fd)
