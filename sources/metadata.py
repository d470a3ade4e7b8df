"""Entries from the kernel's view of a thing: stat, names of its owners, extended attributes, link target."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from functools import lru_cache

from repository.entries import Entry, Kind

KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "dev",
    stat.S_IFCHR: "chardev",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_NO_XATTRS = (errno.ENOTSUP, errno.ENOSYS)

Xattrs = tuple[tuple[bytes, bytes], ...]


@lru_cache(maxsize=4096)
def user_name(uid: int) -> str:
    """Return the login name of a user, "" if there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@lru_cache(maxsize=4096)
def group_name(gid: int) -> str:
    """Return the name of a group, "" if there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def entry_from_stat(name: bytes, st: os.stat_result, linktarget: bytes = b"", xattrs: Xattrs = ()) -> Entry:
    """Return the Entry for a stat result."""
    kind = KINDS[st.st_mode & 0o170000]
    return Entry(
        name,
        kind,
        st.st_mode & 0o7777,
        st.st_mtime_ns,
        st.st_ctime_ns,
        st.st_uid,
        st.st_gid,
        user_name(st.st_uid),
        group_name(st.st_gid),
        st.st_ino,
        st.st_dev,
        st.st_nlink,
        st.st_size if kind == "file" else 0,
        linktarget,
        st.st_rdev if kind in ("dev", "chardev") else 0,
        xattrs,
        st.st_blocks,
    )


def read_xattrs(target: int | bytes) -> Xattrs:
    """Return the extended attributes of an open file, or of a path that is no symlink. Raises OSError."""
    follow = isinstance(target, int)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as err:
        if err.errno in _NO_XATTRS:
            return ()
        raise
    if not names:
        return ()
    found = []
    for name in names:
        try:
            found.append((os.fsencode(name), os.getxattr(target, name, follow_symlinks=follow)))
        except OSError as err:
            if err.errno != errno.ENODATA:  # taken away between list and get
                raise
    return tuple(found)
