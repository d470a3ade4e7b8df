"""Read the small files of a directory while it is listed: one open, one read, and one look at the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from repository.entries import Entry
from sources.fingerprints import Status, status_of
from sources.local_file import open_quietly
from sources.metadata import entry_from_stat, read_xattrs

TakeFile = Callable[[Entry, bytes], None]


class SmallFiles:
    """Hands at most `most_files` files of one name, and of at most `most_bytes` bytes each, to `take`."""

    def __init__(self, most_bytes: int, most_files: int, take: TakeFile) -> None:
        self._most_bytes = most_bytes
        self._room = most_files
        self._take = take

    def read(self, dir_fd: int, name: bytes, st: os.stat_result, status: Status) -> bool:
        """Read a file of an open directory; `st` is its lstat, `status` what of that counts.

        False means that it was not handed on: it is of another kind, or not all about it was just as lstat
        said, before and after. Then it is to be listed, and opened with more care.
        """
        if (
            st.st_size > self._most_bytes
            or st.st_nlink != 1
            or not self._room
            or not stat.S_ISREG(st.st_mode)
        ):
            return False
        try:
            fd = open_quietly(dir_fd, name)
        except OSError:
            return False  # whoever opens it once more tells why
        try:
            content = os.read(fd, st.st_size + 1)  # one more, to see that it ends there
            xattrs = read_xattrs(fd)
            is_as_listed = len(content) == st.st_size and status_of(os.fstat(fd)) == status
        except OSError:
            return False
        finally:
            os.close(fd)
        if is_as_listed:
            self._room -= 1
            self._take(entry_from_stat(name, st, xattrs=xattrs), content)
        return is_as_listed
