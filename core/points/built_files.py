"""The files of built downloads in the data folder: made under a lock, so that what a kill leaves is known.

A file belongs to whoever holds its lock, or to the row that says that it is ready. Any other is a leftover.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from core import app_state, words
from core.errors import HoldfastError
from core.points.built_rules import GIB

FOLDER = "downloads"
# Without room in the data folder no job can end, so this much stays free.
RESERVE_BYTES, RESERVE_SHARE = GIB, 0.01
_LOOK_EVERY_BYTES = 64 << 20
_PIECE = 1 << 20
_NAME = re.compile(r"(\d{1,18})\.(?:part|zip|tar)")


class CannotBeBuilt(HoldfastError):
    """There is no room for it, or the data folder cannot be written to."""


@dataclass(slots=True)
class BuiltFile:
    """A file that grows, held by its lock; `path` is where it will be, and is only there once it is whole."""

    path: str
    part: str
    descriptor: int
    most_bytes: int
    size: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    _looked_at: int = 0

    def begin_anew(self) -> None:
        """Throw away what was written: the copy that was read broke off."""
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.size, self._looked_at, self._hash = 0, 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add a piece. Raises CannotBeBuilt."""
        if self.size + len(data) > self.most_bytes:
            raise _too_much(self.size + len(data), self.most_bytes)
        with _told():
            if self.size - self._looked_at >= _LOOK_EVERY_BYTES:
                require_free(len(data))
                self._looked_at = self.size
            view = memoryview(data)
            while view:
                view = view[os.write(self.descriptor, view) :]
        self.size += len(data)
        self._hash.update(data)

    def finish(self) -> str:
        """Make it durable, read it back from the disk, give it its name; return its SHA-256."""
        with _told():
            os.fsync(self.descriptor)
            os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if (found := _sha256(self.part)) != self._hash.hexdigest():
                raise CannotBeBuilt(
                    "What was written to the data folder reads back as something else.",
                    "Look at its disk and at this machine's memory, then build it again.",
                )
            os.rename(self.part, self.path)
            _sync_folder()
        return found


@contextmanager
def made(built_id: int, form: str, most_bytes: int) -> Iterator[BuiltFile]:
    """Hold a new file; it is removed if what is done with it fails. Raises CannotBeBuilt."""
    with _told():
        os.makedirs(_folder(), mode=0o700, exist_ok=True)
        part, path = os.path.join(_folder(), f"{built_id}.part"), path_of(built_id, form)
        descriptor = _locked(part)
    try:
        yield BuiltFile(path, part, descriptor, most_bytes)
    except BaseException:
        for each in (part, path):
            with suppress(FileNotFoundError):
                os.unlink(each)
        raise
    finally:
        os.close(descriptor)


def path_of(built_id: int, form: str) -> str:
    """Return where a built download lies."""
    return os.path.join(_folder(), f"{built_id}.{form}")


def is_there(built_id: int, form: str) -> bool:
    """Tell whether its file is there."""
    return os.path.isfile(path_of(built_id, form))


def remove(built_id: int, form: str) -> None:
    """Remove its file; fine if it is gone."""
    with suppress(FileNotFoundError):
        os.unlink(path_of(built_id, form))


def used_bytes() -> int:
    """Return how much all of them take, those that are being built, too."""
    total = 0
    for name in _names():
        with suppress(FileNotFoundError):
            total += os.stat(os.path.join(_folder(), name)).st_size
    return total


def require_room(needed: int, most_bytes: int) -> int:
    """Return how large a new one may become. Raises CannotBeBuilt if `needed` is more."""
    left = most_bytes - used_bytes()
    if needed > left:
        raise _too_much(needed, max(0, left))
    require_free(needed)
    return left


def require_free(needed: int) -> None:
    """Raise CannotBeBuilt if the disk would have too little room left. Raises OSError."""
    room = os.statvfs(app_state.settings().data_dir)
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    reserve = max(RESERVE_BYTES, int(total * RESERVE_SHARE))
    if needed + reserve > free:
        raise CannotBeBuilt(
            f"There is no room to build it: it may take {words.size(needed)}, the data folder has "
            f"{words.size(free)} free, and {words.size(reserve)} of that must stay.",
            "Make room there, choose fewer files, or restore them to a folder instead.",
        )


def sweep(is_ready: Callable[[int], bool]) -> list[str]:
    """Remove the files that nobody makes and that are not ready; return their names. Raises OSError."""
    return [name for name in _names() if _is_left(name, is_ready)]


def _is_left(name: str, is_ready: Callable[[int], bool]) -> bool:
    found = _NAME.fullmatch(name)
    if found is None:
        return False  # nothing of ours
    path, built_id, whole = os.path.join(_folder(), name), int(found[1]), not name.endswith(".part")
    if whole and is_ready(built_id):
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if whole and is_ready(built_id):
            return False  # it was just finished
        os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        return False  # it is being made, or was just given up
    finally:
        os.close(descriptor)
    return True


def _names() -> list[str]:
    try:
        return os.listdir(_folder())
    except FileNotFoundError:
        return []


def _folder() -> str:
    return os.path.join(app_state.settings().data_dir, FOLDER)


def _locked(path: str) -> int:
    """Open a new file and hold its lock; another try if a sweep was faster. Raises OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def _sha256(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def _sync_folder() -> None:
    descriptor = os.open(_folder(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of the data folder into sentences."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise CannotBeBuilt(
            f"The data folder {'is full' if full else 'cannot be written to'}: {error.strerror or error}.",
            "Make room there, or mend what is named, then build it again.",
        ) from error


def _too_much(needed: int, left: int) -> CannotBeBuilt:
    return CannotBeBuilt(
        f"It is too large to be built: it may take {words.size(needed)}, and {words.size(left)} are left of "
        "what built downloads may take together.",
        "Remove one that is ready, let them take more, choose fewer files, or restore them to a folder.",
    )
