"""Room for parallel dumps, which several processes write to files: the one way that needs a disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from repository.entries import Entry
from sources.made_file import made_entry
from sources.postgres import leftovers
from sources.postgres.dump import DumpOptions, Snapshot, dump_arguments, require_success
from sources.postgres.errors import DumpFailed, NoWorkRoom
from sources.postgres.manifest import Database
from sources.postgres.programs import Child, Program
from sources.postgres.server import Server

_NEW = "new-"
# A dump may be larger than its database, which has indexes but keeps long values compressed.
_ROOM = 1.1
_TELL_EVERY_S = 5.0


class WorkFolder:
    """A folder of a backup's own below the one chosen, removed with all in it at the end of the process.

    It is locked while it is used: what a killed backup left is removed by the next. Raises NoWorkRoom.
    """

    def __init__(self, parent: str) -> None:
        try:
            leftovers.sweep(parent)
            # Locked before it has its name: under that, another run would take it for a dead one's.
            made = tempfile.mkdtemp(prefix=_NEW + leftovers.PREFIX, dir=parent)
            fd = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftovers.mark(fd)
            self._path = os.path.join(parent, os.path.basename(made).removeprefix(_NEW))
            os.rename(made, self._path)
            self._remove = weakref.finalize(self, _remove, self._path, fd)
        except OSError as err:
            raise _unusable(parent, err) from err

    def new_place(self, size_bytes: int) -> str:
        """Return the path of a folder that is not there yet, with room for a dump. Raises NoWorkRoom."""
        require_room(self._path, size_bytes)
        return tempfile.mktemp(dir=self._path)  # noqa: S306  # in a folder that is ours alone

    def close(self) -> None:
        """Remove it."""
        self._remove()


def _remove(path: str, fd: int) -> None:
    try:
        with suppress(OSError):  # the next backup that comes by removes what is left
            leftovers.remove(path, fd)
    finally:
        os.close(fd)


def require_room(folder: str, size_bytes: int) -> None:
    """Raise NoWorkRoom unless a folder is there and has room for the files of a dump."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as err:
        raise _unusable(folder, err) from err
    if free < size_bytes * _ROOM:
        raise NoWorkRoom(
            f"a parallel dump needs about {_size(size_bytes * _ROOM)} in {folder}, and {_size(free)} are "
            "free; choose another folder, or one process, which needs none"
        )


def _unusable(folder: str, err: OSError) -> NoWorkRoom:
    return NoWorkRoom(
        f"the folder for parallel dumps, {folder!r}, cannot be used: {err.strerror}; choose another"
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def dump_to_folder(
    server: Server,
    snapshot: Snapshot,
    program: Program,
    options: DumpOptions,
    place: str,
    waiting: Callable[[], None],
) -> Database:
    """Dump a snapshot's database to files in `place`, by several processes; return its record.

    Raises as a DumpFile does; the snapshot is closed in any case.
    """
    snapshot.start_counting()
    arguments = ["--format=directory", f"--jobs={options.jobs}", f"--file={place}"]
    child = Child(program, arguments + dump_arguments(server, snapshot, options), server)
    try:
        leftovers.note_child(place, child.pid)
        require_success(child, server, snapshot.record.name, waiting)
        record = snapshot.finish(waiting)
    finally:
        child.stop()
        snapshot.close()
    record.warnings = child.messages()
    record.dump_bytes = sum(size for _, size in _sizes(place))
    return record


def telling(
    place: str, name: str, tell: Callable[[str], None], waiting: Callable[[], None]
) -> Callable[[], None]:
    """Return `waiting` that also tells, every few seconds, how much of a dump is written to a folder.

    Nothing is handed on meanwhile, for hours perhaps: a job that says nothing is taken for one that hangs.
    """
    told_at = 0.0

    def both() -> None:
        nonlocal told_at
        waiting()
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            tell(f"{name}: {_size(_written(place))} dumped to {place}")

    return both


def _written(place: str) -> int:
    try:
        return sum(size for _, size in _sizes(place))
    except DumpFailed:
        return 0  # not made yet, or a file was renamed this moment: it is looked at again


def entries_in(place: str, now_ns: int) -> list[Entry]:
    """Return the entries of a dump's files, by name. Raises DumpFailed."""
    return [made_entry(name, now_ns, size=size) for name, size in _sizes(place)]


def _sizes(place: str) -> list[tuple[bytes, int]]:
    try:
        return sorted((os.fsencode(entry.name), entry.stat().st_size) for entry in os.scandir(place))
    except OSError as err:  # never as itself: of a folder that cannot be listed the engine only warns
        raise DumpFailed(f"{place} cannot be listed: {err.strerror}; nothing was kept. Run it again") from err


@dataclass(slots=True)
class WorkFile:
    """One file of a parallel dump as an OpenFile; it is removed once it was read to its end.

    Raises DumpFailed where it cannot be read whole: a dump that lacks a file is none.
    """

    path: bytes
    entry: Entry
    _real: str
    _fd: int
    _left: int

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`; return the count of bytes, 0 at the end."""
        try:
            count = os.readv(self._fd, [buffer])
        except OSError as err:
            raise DumpFailed(f"{self._real} cannot be read: {err.strerror}; nothing was kept") from err
        self._left -= count
        if not count and self._left:
            raise DumpFailed(f"{self._real} was cut off while it was read; nothing was kept. Run it again")
        return count

    def entry_now(self) -> Entry:
        """Return the same entry."""
        return self.entry

    def close(self) -> None:
        """Close it, and remove it if all was read."""
        os.close(self._fd)
        if not self._left:
            with suppress(OSError):  # it takes room until the work folder goes, and that is all
                os.unlink(self._real)


def open_work_file(path: bytes, entry: Entry, place: str) -> WorkFile:
    """Open a file of a parallel dump. Raises DumpFailed."""
    real = os.path.join(place, os.fsdecode(entry.name))
    try:
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as err:
        raise DumpFailed(f"{real} cannot be opened: {err.strerror}; nothing was kept. Run it again") from err
    return WorkFile(path, entry, real, fd, entry.size)


def gone(text: str) -> OSError:
    """Return the error for a database that was dropped before its turn: its folder cannot be listed."""
    return OSError(errno.ESTALE, text)
