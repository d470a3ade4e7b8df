"""The way from a tree path to an open folder of a target, checked at each step."""

from __future__ import annotations

import errno
import os
import threading

from repository.entries import TargetError, TargetFull
from sources.dirfds import DirStack

_ROOT_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DEFAULT_ACL = "system.posix_acl_default"
_NO_ACL = (errno.ENODATA, errno.ENOTSUP, errno.ENOSYS)
_IN_THE_WAY = {
    errno.EISDIR: "a folder stands where a file must go; move it away, or restore elsewhere",
    errno.ENOTDIR: "a file or a link stands where a folder must go; move it away, or restore elsewhere",
    errno.ELOOP: "a link stands where a folder must go; move it away, or restore elsewhere",
    errno.ENOENT: "its folder is gone; something else changes the place that is restored to",
    errno.EROFS: "the file system is mounted read-only",
}


class TargetDirs:
    """Open folders below one root; each thread has its own. The root is made when it is first needed.

    `pinned`: the root is a real path that was looked at; one that leads elsewhere by now, by a link that
    came since, is refused.
    """

    def __init__(self, root: bytes, *, pinned: bool = False) -> None:
        self._root = root
        self._pinned = pinned
        self._here = threading.local()

    def exists(self) -> bool:
        """Tell whether the root is there already."""
        return os.path.isdir(self._root)

    def open(self, path: bytes) -> int:
        """Return an open folder, good until this thread's next call. Raises OSError, TargetError."""
        here = self._here
        if getattr(here, "path", None) != path:
            here.path = None
            here.fd = self._stack().open(split(path))
            here.inherits = None
            here.path = path
        return int(here.fd)

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """Return the open folder of a path and its last name. Raises OSError, TargetError."""
        folder, _, name = path.rpartition(b"/")
        if not name or name in (b".", b"..") or b"\0" in name or not path.startswith(b"/"):
            raise TargetError(
                f"{os.fsdecode(path)!r} is no name to restore to; the snapshot was tampered with"
            )
        return self.open(folder or b"/"), name

    def hands_down(self) -> bool:
        """Tell whether the folder opened last gives new files an ACL of its own choice."""
        if self._here.inherits is None:
            self._here.inherits = _has_default_acl(self._here.fd)
        return bool(self._here.inherits)

    def close(self) -> None:
        """Close this thread's folders."""
        self._here.path = None
        self._stack().close()

    def _stack(self) -> DirStack:
        if not hasattr(self._here, "stack"):
            self._here.stack = DirStack(self._open_root)
        stack: DirStack = self._here.stack
        return stack

    def _open_root(self) -> int:
        try:
            fd = os.open(self._root, _ROOT_FLAGS)
        except FileNotFoundError:
            os.makedirs(self._root, 0o700, exist_ok=True)
            fd = os.open(self._root, _ROOT_FLAGS)
        if self._pinned and os.readlink(b"/proc/self/fd/%d" % fd) != self._root:
            os.close(fd)
            raise TargetError(
                f"{os.fsdecode(self._root)} leads elsewhere than when it was looked at: a link stands in its "
                "way now; nothing more was written there"
            )
        return fd


def split(path: bytes) -> list[bytes]:
    """Return the names in a tree path. Raises TargetError for one that could lead elsewhere."""
    if path == b"/":
        return []
    names = path.split(b"/")
    if names[0] or len(names) < 2 or any(name in (b"", b".", b"..") or b"\0" in name for name in names[1:]):
        raise TargetError(f"{os.fsdecode(path)!r} is no path to restore to; the snapshot was tampered with")
    return names[1:]


def error_at(path: bytes, err: OSError, when: str = "") -> TargetError:
    """Return the error to raise for what the system refused at a tree path; `when`: what was being done."""
    shown = os.fsdecode(path)
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "no space is left" if err.errno == errno.ENOSPC else "the disk quota is used up"
        return TargetFull(f"cannot restore {shown}: {what}; free some, or restore elsewhere")
    reason = _IN_THE_WAY.get(err.errno or 0) or err.strerror
    return TargetError(f"cannot restore {shown}: {when}{reason}")


def _has_default_acl(fd: int) -> bool:
    try:
        os.getxattr(fd, _DEFAULT_ACL)
    except OSError as err:
        if err.errno in _NO_ACL:
            return False
        raise
    return True
