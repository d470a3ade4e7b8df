"""What killed runs left in a folder for parallel dumps: removed, if it is beyond doubt ours.

Others may write to that folder, too: nothing is believed for its name alone, and no link is followed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import signal
import stat
import time
from contextlib import suppress

PREFIX = "holdfast-dump-"
_NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")  # as tempfile makes them
_MARK, _CHILD = ".holdfast-work-folder", "child"
_PROGRAMS = ("pg_dump", "pg_restore")
_ENDS_WITHIN_S = 10.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


def mark(fd: int) -> None:
    """Note in a new folder that it is a work folder: no other is ever swept. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(_MARK, flags, 0o600, dir_fd=fd))


def sweep(parent: str) -> list[str]:
    """Remove what killed runs left below a folder, and end what still writes there; return the paths.

    Raises OSError if the folder cannot be listed.
    """
    paths = [os.path.join(parent, name) for name in os.listdir(parent) if _NAME.fullmatch(name)]
    return [path for path in paths if _remove_if_left(path)]


def remove(path: str, fd: int) -> None:
    """Remove a work folder that is open as `fd`, its mark last: half removed it is still ours.

    Raises OSError.
    """
    for name in sorted(os.listdir(fd), key=lambda name: name == _MARK):
        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=fd)
        else:
            os.unlink(name, dir_fd=fd)
    os.rmdir(path)


def note_child(place: str, pid: int) -> None:
    """Note which program uses a folder that `new_place` gave: it outlives a run that is killed."""
    work_folder = os.path.dirname(place)
    if os.path.basename(work_folder).startswith(PREFIX):
        with open(os.path.join(work_folder, _CHILD), "w", encoding="ascii") as file:
            file.write(f"{pid} {started(pid)}")


def started(pid: int) -> str:
    """Return when a process was started, in ticks since this machine was; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _remove_if_left(path: str) -> bool:
    try:
        fd = os.open(path, _FOLDER)
    except OSError:
        return False  # its run has just ended, or it is no folder, or one of somebody else
    try:
        if not _is_ours(fd):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _end_orphan(fd)
        remove(path, fd)
    except (BlockingIOError, FileNotFoundError):
        return False  # of a run that goes on, or that removes it itself at this moment
    except OSError as error:
        _log.warning("%s, which a killed run had left, could not be removed: %s", path, error)
        return False
    finally:
        os.close(fd)
    return True


def _is_ours(fd: int) -> bool:
    """Tell whether a folder was made by a WorkFolder of this user. Raises FileNotFoundError if unmarked."""
    folder, noted = os.fstat(fd), os.stat(_MARK, dir_fd=fd, follow_symlinks=False)
    is_private = folder.st_uid == os.geteuid() and folder.st_mode & 0o777 == 0o700
    return is_private and _is_own_file(noted)


def _is_own_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _end_orphan(fd: int) -> None:
    """End the program that a killed run left, if it is beyond doubt that one; wait until it has ended."""
    pid, started_at = _noted_child(fd)
    until = time.monotonic() + _ENDS_WITHIN_S
    with suppress(ProcessLookupError):
        while started_at and _is_dump(pid) and started(pid) == started_at and time.monotonic() < until:
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.1)


def _noted_child(fd: int) -> tuple[int, str]:
    """Return the id of a run's program, and when that was started; (0, "") if it had not begun."""
    try:
        # A fifo would hold up who opens it.
        child = os.open(_CHILD, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return 0, ""
    try:
        pid, started_at = os.read(child, 100).decode("ascii").split(" ", 1)
        return (int(pid), started_at) if _is_own_file(os.fstat(child)) else (0, "")
    except (OSError, ValueError):
        return 0, ""
    finally:
        os.close(child)


def _is_dump(pid: int) -> bool:
    """Tell whether a process is a program that we start with such a folder, run by this user."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            is_known = file.read().rstrip("\n") in _PROGRAMS
        return is_known and os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False
