"""A host that lets us in for SFTP alone: slower, and with less to tell."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress

from repository.entries import Entry, OpenFile, Problem, SourceUnavailable
from sources.rules import Rules
from sources.ssh.host import SshHost
from sources.ssh.large_file import lost
from sources.ssh.listing import HostListing
from sources.ssh.rows import Row
from sources.ssh.tree import HostTree, NameRules, pack
from ssh import sftp_wire as wire
from ssh.errors import SshError, Unreachable
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from ssh.sftp_wire import Attrs

_LETTERS = {
    stat.S_IFREG: b"f",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFIFO: b"p",
    stat.S_IFSOCK: b"s",
}
_READ_BYTES = 4 * 1024 * 1024
_DEVICE = "a device; its number cannot be told over SFTP"


def list_over_sftp(
    host: SshHost, tops: Sequence[bytes], rules: Rules, never: Mapping[bytes, str]
) -> HostListing:
    """List everything at and below these places. Raises SourceUnavailable, Unreachable."""
    listing = HostListing(HostTree((), rules))
    sftp = host.sftp()
    try:
        for top in tops:
            _list_top(sftp, top, rules, never, listing)
        for top in tops:
            for way in _above(top):
                listing.ways[way] = _row(way.rpartition(b"/")[2], sftp.stat(way))
    except SftpStatus as error:
        raise SourceUnavailable(f"{host.name} could not be listed: {error}") from error
    finally:
        sftp.close()
    return listing


def statuses(host: SshHost, paths: Sequence[bytes]) -> set[bytes]:
    """Return those of these paths that exist. Raises SourceUnavailable, SshError."""
    sftp = host.sftp()
    try:
        return {path for path in paths if _status(sftp, path) is not None}
    finally:
        sftp.close()


class SftpHostFiles:
    """Reads files of such a host, one after the other."""

    def __init__(self, host: SshHost, make_entry: Callable[[bytes, Row], Entry]) -> None:
        self._host = host
        self._make_entry = make_entry
        self._lock = threading.Lock()
        self._sftp: Sftp | None = None

    def open(self, paths: Sequence[bytes]) -> Generator[OpenFile | Problem, None, None]:
        """Yield each file. Raises Unreachable."""
        for path in paths:
            yield self._open(self._session(), path)

    def close(self) -> None:
        """End the session."""
        with self._lock:
            if self._sftp:
                self._sftp.close()
            self._sftp = None

    def _session(self) -> Sftp:
        with self._lock:
            if self._sftp is None or self._sftp.broken:
                self._sftp = self._host.sftp()
            return self._sftp

    def _open(self, sftp: Sftp, path: bytes) -> OpenFile | Problem:
        attrs = _status(sftp, path)
        if attrs is None or not stat.S_ISREG(attrs.mode or 0):
            return Problem(path, "vanished", "it was a file when listed, and is gone now, or something else")
        try:
            handle = sftp.open(path, wire.READ_ONLY)
        except SftpStatus as error:
            return Problem(path, "unreadable", f"cannot be read: {error}")
        return _SftpFile(path, sftp, handle, self._make_entry)


class _SftpFile:
    """A file that is read over SFTP, as an OpenFile."""

    def __init__(
        self, path: bytes, sftp: Sftp, handle: bytes, make_entry: Callable[[bytes, Row], Entry]
    ) -> None:
        self.path = path
        self._sftp = sftp
        self._handle = handle
        self._make_entry = make_entry
        self._place = 0
        self.entry = self._now()

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`; return the count of bytes, 0 at the end. Raises OSError, SourceUnavailable."""
        try:
            data = self._sftp.read(self._handle, self._place, min(len(buffer), _READ_BYTES))
        except SshError as error:
            raise _failed(error) from error
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def entry_now(self) -> Entry:
        """Return the metadata as it is now. Raises OSError, SourceUnavailable."""
        try:
            now = self._now()
        except SshError as error:
            raise _failed(error) from error
        return self.entry if now == self.entry else now

    def close(self) -> None:
        """Close it on the host; that a file which was only read does not close loses nothing."""
        with suppress(SshError):
            self._sftp.close_handle(self._handle)

    def _now(self) -> Entry:
        row = _row(self.path.rpartition(b"/")[2], self._sftp.fstat(self._handle))
        return self._make_entry(self.path, row)


def _failed(error: SshError) -> Exception:
    if isinstance(error, Unreachable):
        return lost(error)
    return OSError(errno.EIO, str(error))


def _list_top(sftp: Sftp, top: bytes, rules: Rules, never: Mapping[bytes, str], listing: HostListing) -> None:
    attrs = _status(sftp, top)
    if attrs is None:
        return
    row = _row(top.rpartition(b"/")[2], attrs)
    listing.tree.tops[top] = row
    names = NameRules(rules)
    folders = [top.rstrip(b"/")] if row.is_dir else []
    while folders:
        paths = {folder or b"/": folder for folder in folders}
        folders = []
        for path, entries in sftp.list_dirs(list(paths)):
            if isinstance(entries, SftpStatus):
                listing.complain(path, str(entries) or "refused")
                continue
            rows = _rows_in(sftp, paths[path], entries, names, never, listing)
            listing.tree.dirs[paths[path]] = pack(rows)
            folders += [paths[path] + b"/" + each.name for each in rows if each.is_dir]


def _rows_in(
    sftp: Sftp,
    folder: bytes,
    entries: Sequence[tuple[bytes, Attrs]],
    names: NameRules,
    never: Mapping[bytes, str],
    listing: HostListing,
) -> list[Row]:
    tests = names.tests(folder)
    rows = []
    for name, attrs in entries:
        path = folder + b"/" + name
        if b"/" in name or not name or any(test(name) is not None for test in tests) or path in never:
            continue
        if stat.S_ISBLK(attrs.mode or 0) or stat.S_ISCHR(attrs.mode or 0):
            listing.tag_problems.setdefault(folder, []).append(Problem(path, "unsupported", _DEVICE))
            continue
        row = _row(name, attrs)
        if row.facts.startswith(b"l"):
            row = row._replace(target=sftp.read_link(path))
        if row.is_dir or not names.leaves_out(row, row.device_id):
            rows.append(row)
    if names.needs_look(rows):
        listing.tree.tagged.append(folder)
    return names.without_tagged(rows)


def _row(name: bytes, attrs: Attrs) -> Row:
    """Return attributes as a row: without inode, links and ctime, and with times of whole seconds."""
    mode = attrs.mode or 0
    letter = _LETTERS.get(stat.S_IFMT(mode), b"f")
    mtime = attrs.mtime or 0
    if mtime >= 1 << 31 and mtime > (1 << 32) - (1 << 28):
        mtime -= 1 << 32  # some eight years before 1970: the protocol has no sign
    facts = b"%s %o %d %d %d %d 0 0 1 0 0" % (
        letter,
        stat.S_IMODE(mode),
        attrs.uid or 0,
        attrs.gid or 0,
        attrs.size or 0,
        mtime,
    )
    return Row(name, facts, b"")


def _status(sftp: Sftp, path: bytes) -> Attrs | None:
    try:
        return sftp.lstat(path)
    except SftpStatus as error:
        if error.code in (wire.NO_SUCH_FILE, wire.PERMISSION_DENIED, wire.FAILURE):
            return None
        raise


def _above(top: bytes) -> list[bytes]:
    names = os.path.dirname(top).split(b"/")[1:]
    return [b"/" + b"/".join(names[: count + 1]) for count in range(len(names)) if names[count]]
