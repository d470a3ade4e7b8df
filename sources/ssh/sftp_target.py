"""A folder on a host that is written to over SFTP: for hosts without GNU tar, and logins for SFTP alone."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable
from io import BufferedReader
from typing import BinaryIO, TypeVar

from repository.entries import Conflict, Entry, Problem, SourceUnavailable, TargetError, TargetFull
from sources.leftovers import TempNames
from sources.patterns import clean
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.sftp_late import LatePlaces
from sources.ssh.sftp_names import SftpNames
from sources.ssh.sftp_reading import SftpReading
from ssh import sftp_wire as wire
from ssh.errors import SshError
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from ssh.sftp_wire import Attrs

_NEW_FILE = wire.WRITE_ONLY | wire.CREATE | wire.EXCLUSIVE
_FULL = (wire.NO_SPACE, wire.QUOTA_EXCEEDED)
_ROOM_BYTES = 8 * 1024 * 1024  # with less, what fails for no reason that is told fails for want of space
_NO_PARTS = "times are restored in whole seconds, from 1970 to 2106: SFTP knows no others"
_NO_ATTRIBUTES = "extended attributes and ACLs are not restored: SFTP knows none"

T = TypeVar("T")


class SftpTarget:
    """A folder on a host, which is made when missing, in one that is there.

    Each file comes into being under a name `.holdfast-…` beside its own and is renamed, in one step where the
    server can; a killed restore may leave one such name, and the next one that enters the folder removes it
    after a day. No link below the root is followed. What SFTP cannot set is told, once.

    `rule` holds to the end: only `replace` replaces what has come, or became newer, since a file was planned.
    """

    def __init__(self, settings: SshHostSettings, root: str, rule: Conflict = "replace") -> None:
        self._root = clean(os.fsencode(root))
        if not self._root.startswith(b"/"):
            raise TargetError("name a folder on the host by its absolute path, such as /srv/restored")
        self._host = SshHost(settings)
        self._temps = TempNames()
        self._places = LatePlaces(rule)
        self._writing = _Session(self._host, self._root)
        self._looking = _Session(self._host, self._root)  # a restore looks ahead while it writes
        self._names = SftpNames(self._root)

    def existing(self, path: bytes) -> Entry | None:
        """Return what stands at `path` now, None if nothing. Raises TargetError."""
        return self._looking.use(path, lambda sftp: self._names.existing(sftp, path))

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""
        there = self._writing.use(path, lambda sftp: self._names.existing(sftp, path))
        return None if there is None else there.size

    def open_file(self, path: bytes) -> BinaryIO:
        """Open the regular file at `path` for reading. Raises TargetError, also if it is none."""
        there = self.existing(path)
        if there is None or there.kind != "file":
            raise TargetError(f"{os.fsdecode(path)} is no file there")
        place = self._names.place(path)
        handle = self._looking.use(path, lambda sftp: sftp.open(place, wire.READ_ONLY))
        return BufferedReader(SftpReading(lambda do: self._looking.use(path, do), handle), 1024 * 1024)

    def describe_file(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set the metadata of the regular file at `path`. Raises TargetError."""
        return self._writing.use(path, lambda sftp: _describe(sftp, self._names.place(path), path, entry))

    def start_dir(self, path: bytes) -> None:
        """Make sure that a real directory stands at `path` (HALF_MADE when new). Raises TargetError."""
        self._writing.use(path, lambda sftp: self._names.make_dir(sftp, path))

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set a directory's metadata, after everything below it was written. Raises TargetError."""
        return self.describe_file(path, entry)

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Write a whole file, then its metadata. Raises TargetError, TargetFull, and what `chunks` raises."""
        return self._make(path, entry, lambda temp: self._write(path, temp, entry, chunks))

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which was written before. Raises TargetError."""
        place = self._names.place(first)

        def link(temp: bytes) -> list[Problem]:
            self._writing.use(path, lambda sftp: _link(sftp, temp, place))
            return []

        self._make(path, self._writing.use(path, lambda sftp: self._names.existing(sftp, first)), link)

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symbolic link; other kinds cannot be made over SFTP. Raises TargetError."""
        if entry.kind != "symlink":
            return [Problem(path, "unsupported", f"a {entry.kind} cannot be made over SFTP")]

        def link(temp: bytes) -> list[Problem]:
            self._writing.use(path, lambda sftp: sftp.make_symlink(temp, entry.linktarget))
            return self._writing.use(path, lambda sftp: _describe_link(sftp, temp, path, entry))

        return self._make(path, entry, link)

    def flush(self) -> None:
        """Do nothing: each file was on the disk before it got its name, where the server can tell."""

    def close(self) -> None:
        """End the connections."""
        self._writing.close()
        self._looking.close()
        self._host.close()

    def _make(
        self, path: bytes, entry: Entry | None, make: Callable[[bytes], list[Problem]]
    ) -> list[Problem]:
        """Make something under a temporary name, and give it its own. Nothing is left if that fails."""
        place = self._names.place(path)
        there = self._writing.use(path, lambda sftp: self._names.require_free(sftp, path))
        self._places.require(path, there, entry)
        temp = place.rpartition(b"/")[0] + b"/" + self._temps.next()
        try:
            problems = make(temp)
            self._writing.use(path, lambda sftp: self._places.put(sftp, path, temp, place, there))
        except BaseException:
            self._writing.discard(temp)
            raise
        return problems

    def _write(self, path: bytes, temp: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        handle = self._writing.use(path, lambda sftp: sftp.open(temp, _NEW_FILE, 0o600))
        offset = 0
        for chunk in chunks:
            data, at = memoryview(chunk), offset
            self._writing.use(path, lambda sftp, data=data, at=at: sftp.write(handle, data, at))  # type: ignore[misc]
            offset += len(chunk)
        return self._writing.use(path, lambda sftp: _finish(sftp, handle, temp, path, entry))


class _Session:
    """An SFTP session that is opened when it is needed; errors come as those of a target."""

    def __init__(self, host: SshHost, root: bytes) -> None:
        self._host = host
        self._root = root
        self._lock = threading.Lock()
        self._sftp: Sftp | None = None

    def use(self, path: bytes, do: Callable[[Sftp], T]) -> T:
        """Do something at a tree path. Raises TargetError, TargetFull."""
        shown = f"cannot restore {os.fsdecode(path)} on {self._host.name}"
        with self._lock:
            try:
                if self._sftp is None:
                    self._sftp = self._host.sftp()
                return do(self._sftp)
            except SftpStatus as error:
                if error.code in _FULL or (error.code == wire.FAILURE and self._is_full()):
                    raise TargetFull(f"{shown}: no space is left; free some, or restore elsewhere") from error
                raise TargetError(f"{shown}: {str(error) or 'refused'}") from error
            except (SshError, SourceUnavailable) as error:
                raise TargetFull(f"{shown}: {error}; the restore ends here") from error

    def discard(self, place: bytes) -> None:
        """Remove what is there, if that is still possible; else the next restore does."""
        with self._lock:
            try:
                if self._sftp is not None:
                    self._sftp.remove(place)
            except SshError:
                return  # what went wrong before is the thing to tell

    def close(self) -> None:
        """End it."""
        if self._sftp is not None:
            self._sftp.close()

    def _is_full(self) -> bool:
        """Tell whether a refusal without a reason is for want of space: OpenSSH gives none."""
        try:
            free = self._sftp.free_bytes(self._root) if self._sftp else None
        except SshError:
            return False
        return free is not None and free < _ROOM_BYTES


def _link(sftp: Sftp, temp: bytes, first: bytes) -> None:
    if not sftp.can_link:
        raise TargetError("the server cannot make hard links")
    sftp.make_hard_link(temp, first)


def _finish(sftp: Sftp, handle: bytes, temp: bytes, path: bytes, entry: Entry) -> list[Problem]:
    if sftp.can_sync:
        sftp.sync(handle)
    sftp.close_handle(handle)
    return _describe(sftp, temp, path, entry)


def _describe(sftp: Sftp, place: bytes, path: bytes, entry: Entry) -> list[Problem]:
    """Set owner, mode and times; without the owner setuid would give another user's rights away."""
    problems = _untold(path, entry)
    mode = entry.mode
    try:
        sftp.set_attrs(place, Attrs(uid=entry.uid, gid=entry.gid))
    except SftpStatus as error:
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
        text = f"the owner is not restored: {str(error) or 'refused'}"
        problems.append(Problem(path, "incomplete", text, once="owner"))
    seconds = _seconds(entry)
    sftp.set_attrs(place, Attrs(mode=mode, atime=seconds, mtime=seconds))
    return problems


def _describe_link(sftp: Sftp, place: bytes, path: bytes, entry: Entry) -> list[Problem]:
    problems = _untold(path, entry)
    if sftp.can_set_links:
        seconds = _seconds(entry)
        try:
            sftp.set_link_attrs(place, Attrs(uid=entry.uid, gid=entry.gid))
            sftp.set_link_attrs(place, Attrs(atime=seconds, mtime=seconds))
        except SftpStatus as error:
            text = f"owner or time of links are not restored: {str(error) or 'refused'}"
            problems.append(Problem(path, "incomplete", text, once="link"))
    return problems


def _seconds(entry: Entry) -> int:
    return min(max(0, entry.mtime_ns // 10**9), (1 << 32) - 1)


def _untold(path: bytes, entry: Entry) -> list[Problem]:
    """Return what SFTP has no words for."""
    found = []
    if _seconds(entry) * 10**9 != entry.mtime_ns:
        found.append(Problem(path, "unsupported", _NO_PARTS, once="fractions"))
    if entry.xattrs:
        found.append(Problem(path, "incomplete", _NO_ATTRIBUTES, once="attributes"))
    return found
