"""Give a finished file its name by a conflict rule: the plan ran ahead, and others may have used the name."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from repository.entries import Conflict

_NO_REPLACE = 1  # RENAME_NOREPLACE of <linux/fs.h>
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM, errno.EMLINK})
_COARSEST_NS = 2_000_000_000  # a time of change comes back no worse than FAT keeps it

_LIBC = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_LIBC, "renameat2", None)
if _renameat2 is not None:
    _renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def put(rule: Conflict, dir_fd: int, temp: bytes, name: bytes, mtime_ns: int | None = None) -> bool:
    """Rename `temp` to `name`, unless the rule says to leave alone what stands there. Raises OSError.

    False, with `temp` left, if it does. `mtime_ns`: of what is restored, None if `temp` has just that.
    """
    if rule != "replace":
        if rename_new(dir_fd, temp, name):
            return True
        if not _gives_way(rule, dir_fd, temp, name, mtime_ns):
            return False
    os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    return True


def rename_new(dir_fd: int, temp: bytes, name: bytes) -> bool:
    """Rename `temp` to `name` if nothing stands there, and tell whether that was so. Raises OSError.

    The kernel decides, in one step; only where neither it nor hard links can is it looked up before.
    """
    if _renameat2 is None:
        return _link_new(dir_fd, temp, name)
    if _renameat2(dir_fd, temp, dir_fd, name, _NO_REPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.EEXIST:
        return False
    if code not in _CANNOT:
        raise OSError(code, os.strerror(code), os.fsdecode(name))
    return _link_new(dir_fd, temp, name)


def _link_new(dir_fd: int, temp: bytes, name: bytes) -> bool:
    try:
        os.link(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as err:
        if err.errno not in _CANNOT:
            raise
        return _look_and_rename(dir_fd, temp, name)
    os.unlink(temp, dir_fd=dir_fd)
    return True


def _look_and_rename(dir_fd: int, temp: bytes, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=dir_fd)
    except FileNotFoundError:
        os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        return True
    return False


def _gives_way(rule: Conflict, dir_fd: int, temp: bytes, name: bytes, mtime_ns: int | None) -> bool:
    """Tell whether what stands at `name` is to be replaced: by the rule, or as of this very restore."""
    new = os.lstat(temp, dir_fd=dir_fd)
    try:
        old = os.lstat(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    wanted_ns = new.st_mtime_ns if mtime_ns is None else mtime_ns
    return (
        os.path.samestat(old, new)
        or _is_of_this(old, new, wanted_ns)
        or (rule == "replace-if-older" and old.st_mtime_ns < wanted_ns)
    )


def _is_of_this(old: os.stat_result, new: os.stat_result, mtime_ns: int) -> bool:
    """Tell whether an earlier try of this restore seems to have put `old` there."""
    same_kind = stat.S_IFMT(old.st_mode) == stat.S_IFMT(new.st_mode)
    return same_kind and old.st_size == new.st_size and abs(old.st_mtime_ns - mtime_ns) <= _COARSEST_NS
