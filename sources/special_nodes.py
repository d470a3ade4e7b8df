"""Links, fifos and devices of a target: made under one name, described through a descriptor."""

from __future__ import annotations

import os
import stat

from repository.entries import Entry, Problem, TargetError
from sources.metadata import KINDS
from sources.restore_metadata import MetadataWriter

_TYPES = {"fifo": stat.S_IFIFO, "chardev": stat.S_IFCHR, "dev": stat.S_IFBLK}
_LOOK_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def make_node(dir_fd: int, name: bytes, entry: Entry) -> None:
    """Make a link, fifo or device, 0600 where it has a mode. Raises OSError."""
    if entry.kind == "symlink":
        os.symlink(entry.linktarget, name, dir_fd=dir_fd)
    else:
        os.mknod(name, _TYPES[entry.kind] | 0o600, entry.device, dir_fd=dir_fd)


def describe_node(
    dir_fd: int, name: bytes, entry: Entry, path: bytes, writer: MetadataWriter, *, tidy: bool
) -> list[Problem]:
    """Set the metadata of what `make_node` made. Raises OSError, TargetError.

    It is held by a descriptor and looked at first, since whoever may write to the folder could have put a
    hard link to another's file in its place.
    """
    fd = os.open(name, _LOOK_FLAGS, dir_fd=dir_fd)
    try:
        st = os.fstat(fd)
        if KINDS[st.st_mode & 0o170000] != entry.kind or st.st_nlink != 1:
            raise TargetError(f"cannot restore {os.fsdecode(path)}: something else was put in its place")
        # A descriptor of this sort has no fchown; its name in /proc stands for the thing itself, link or not.
        handle = b"/proc/self/fd/%d" % fd
        if entry.kind == "symlink":
            return writer.apply_to_link(handle, entry, path)
        return writer.apply(handle, entry, path, tidy=tidy)
    finally:
        os.close(fd)
