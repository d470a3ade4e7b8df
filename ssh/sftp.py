"""The files of an SFTP server: reads and writes many requests at once, names as bytes."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence

from ssh import sftp_wire as wire
from ssh.connection import Connection
from ssh.sftp_channel import SftpChannel, SftpStatus
from ssh.sftp_wire import Attrs

_SAFE_BYTES = 32 * 1024  # what every server takes in one request
_LARGE_BYTES = 252 * 1024  # what one asks for at most where more is allowed
_UNDER_WAY_BYTES = 4 * 1024 * 1024
_UNDER_WAY_DIRS = 32


class Sftp:
    """An SFTP session, for one thread at a time.

    Paths are bytes. Every method raises SftpStatus if the server refuses, Unreachable if the connection
    broke, Malformed if it talks nonsense; a session that is `broken` is of no use any more.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = SftpChannel(connection)
        self._read_bytes = self._write_bytes = _SAFE_BYTES
        self.can_sync = b"fsync@openssh.com" in self._channel.extensions
        self.can_link = b"hardlink@openssh.com" in self._channel.extensions
        self.can_set_links = b"lsetstat@openssh.com" in self._channel.extensions
        self._posix_rename = b"posix-rename@openssh.com" in self._channel.extensions
        self._statvfs = b"statvfs@openssh.com" in self._channel.extensions
        if b"limits@openssh.com" in self._channel.extensions:
            self._ask_limits()

    @property
    def broken(self) -> bool:
        """Tell whether the connection is gone."""
        return self._channel.broken or not self._connection.alive

    def close(self) -> None:
        """End the session and its connection."""
        self._channel.close()
        self._connection.close()

    def open(self, path: bytes, flags: int, mode: int | None = None) -> bytes:
        """Open a file; return its handle. `mode` is for a file that is made."""
        body = wire.string(path) + struct.pack(">I", flags) + wire.packed(Attrs(mode=mode))
        return self._channel.call(wire.OPEN, body, wire.HANDLE).string()

    def close_handle(self, handle: bytes) -> None:
        """Close a file or directory."""
        self._channel.call(wire.CLOSE, wire.string(handle))

    def read(self, handle: bytes, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer if the file ends before."""
        result = bytearray(length)
        todo = deque(_pieces(length, self._read_bytes))
        under_way: deque[tuple[int, int, int]] = deque()
        end = length
        try:
            while todo or under_way:
                self._ask_reads(handle, offset, todo, under_way)
                number, at, count = under_way.popleft()
                data = self._data(number, count)
                result[at : at + len(data)] = data
                if not data:
                    end = min(end, at)
                elif len(data) < count:
                    todo.appendleft((at + len(data), count - len(data)))
        finally:
            self._channel.forget([number for number, _, _ in under_way])
        return bytes(memoryview(result)[:end])

    def write(self, handle: bytes, data: memoryview, offset: int = 0) -> None:
        """Write all of `data` from this place of the file; returning, the server has taken every byte."""
        under_way: deque[int] = deque()
        window = max(1, _UNDER_WAY_BYTES // self._write_bytes)
        try:
            for at, count in _pieces(len(data), self._write_bytes):
                body = wire.string(handle) + struct.pack(">QI", offset + at, count)
                under_way.append(self._channel.request(wire.WRITE, body, data[at : at + count]))
                if len(under_way) > window:
                    self._channel.reply(under_way.popleft(), wire.STATUS)
            while under_way:
                self._channel.reply(under_way.popleft(), wire.STATUS)
        finally:
            self._channel.forget(under_way)

    def sync(self, handle: bytes) -> None:
        """Wait until the file, or directory, is on the server's disk; only where `can_sync`."""
        body = wire.string(b"fsync@openssh.com") + wire.string(handle)
        self._channel.call(wire.EXTENDED, body)

    def stat(self, path: bytes) -> Attrs:
        """Return the attributes of what a path leads to."""
        return self._channel.call(wire.STAT, wire.string(path), wire.ATTRS).attrs()

    def lstat(self, path: bytes) -> Attrs:
        """Return the attributes of what stands at a path."""
        return self._channel.call(wire.LSTAT, wire.string(path), wire.ATTRS).attrs()

    def fstat(self, handle: bytes) -> Attrs:
        """Return the attributes of an open file."""
        return self._channel.call(wire.FSTAT, wire.string(handle), wire.ATTRS).attrs()

    def set_attrs(self, path: bytes, attrs: Attrs) -> None:
        """Set those attributes that are not None."""
        self._channel.call(wire.SETSTAT, wire.string(path) + wire.packed(attrs))

    def remove(self, path: bytes) -> None:
        """Remove a file."""
        self._channel.call(wire.REMOVE, wire.string(path))

    def make_dir(self, path: bytes, mode: int) -> None:
        """Make a directory."""
        self._channel.call(wire.MKDIR, wire.string(path) + wire.packed(Attrs(mode=mode)))

    def remove_dir(self, path: bytes) -> None:
        """Remove an empty directory."""
        self._channel.call(wire.RMDIR, wire.string(path))

    def read_link(self, path: bytes) -> bytes:
        """Return where a symbolic link points to."""
        reply = self._channel.call(wire.READLINK, wire.string(path), wire.NAME)
        reply.number()
        return reply.string()

    def make_symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link."""
        # OpenSSH took the two the other way round than the draft has them, and all others follow it.
        self._channel.call(wire.SYMLINK, wire.string(target) + wire.string(path))

    def make_hard_link(self, path: bytes, first: bytes) -> None:
        """Make another name of a file; only where `can_link`."""
        names = wire.string(first) + wire.string(path)
        self._channel.call(wire.EXTENDED, wire.string(b"hardlink@openssh.com") + names)

    def set_link_attrs(self, path: bytes, attrs: Attrs) -> None:
        """Set attributes of a symbolic link itself; only where `can_set_links`."""
        body = wire.string(b"lsetstat@openssh.com") + wire.string(path) + wire.packed(attrs)
        self._channel.call(wire.EXTENDED, body)

    def real_path(self, path: bytes) -> bytes:
        """Return the absolute path that a path stands for."""
        reply = self._channel.call(wire.REALPATH, wire.string(path), wire.NAME)
        reply.number()
        return reply.string()

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file, replacing what stands at `new`; in one step where the server can."""
        names = wire.string(old) + wire.string(new)
        if self._posix_rename:
            self._channel.call(wire.EXTENDED, wire.string(b"posix-rename@openssh.com") + names)
            return
        try:
            self._channel.call(wire.RENAME, names)
        except SftpStatus:
            self.lstat(old)
            self.remove(new)  # version 3 alone never replaces
            self._channel.call(wire.RENAME, names)

    def rename_new(self, old: bytes, new: bytes) -> None:
        """Rename a file if nothing stands at `new`: version 3 never replaces, OpenSSH in one step."""
        self._channel.call(wire.RENAME, wire.string(old) + wire.string(new))

    def free_bytes(self, path: bytes) -> int | None:
        """Return what an ordinary user may still store around `path`; None if the server cannot say."""
        if not self._statvfs:
            return None
        body = wire.string(b"statvfs@openssh.com") + wire.string(path)
        reply = self._channel.call(wire.EXTENDED, body, wire.EXTENDED_REPLY)
        _, fragment, _, _, available, _, _, free_inodes = (reply.long() for _ in range(8))
        return fragment * available if free_inodes or not available else 0

    def list_dirs(
        self, paths: Sequence[bytes]
    ) -> Iterator[tuple[bytes, list[tuple[bytes, Attrs]] | SftpStatus]]:
        """Yield each directory with its entries (`.` and `..` left out), or with why it cannot be listed.

        Many are under way at once, so that a distant server is not asked one by one.
        """
        for start in range(0, len(paths), _UNDER_WAY_DIRS):
            part = paths[start : start + _UNDER_WAY_DIRS]
            asked = [self._channel.request(wire.OPENDIR, wire.string(path)) for path in part]
            opened = [(path, self._opened(number)) for path, number in zip(part, asked, strict=True)]
            yield from self._read_dirs(opened)

    def _opened(self, number: int) -> bytes | SftpStatus:
        try:
            return self._channel.reply(number, wire.HANDLE).string()
        except SftpStatus as error:
            return error

    def _read_dirs(
        self, opened: Sequence[tuple[bytes, bytes | SftpStatus]]
    ) -> Iterator[tuple[bytes, list[tuple[bytes, Attrs]] | SftpStatus]]:
        reading = {
            path: (handle, list[tuple[bytes, Attrs]]())
            for path, handle in opened
            if isinstance(handle, bytes)
        }
        results = {path: handle for path, handle in opened if isinstance(handle, SftpStatus)}
        yield from results.items()
        while reading:
            asked = [
                (path, self._channel.request(wire.READDIR, wire.string(handle)))
                for path, (handle, _) in reading.items()
            ]
            for path, number in asked:
                handle, entries = reading[path]
                if (end := self._take_names(number, entries)) is not None:
                    del reading[path]
                    self.close_handle(handle)
                    yield path, entries if end.code == wire.END_OF_FILE else end

    def _take_names(self, number: int, entries: list[tuple[bytes, Attrs]]) -> SftpStatus | None:
        """Add a reply's names to `entries`; return the status where no more come."""
        try:
            reply = self._channel.reply(number, wire.NAME)
        except SftpStatus as status:
            return status
        for _ in range(reply.number()):
            name = reply.string()
            reply.string()  # a line as of `ls -l`, for people
            attrs = reply.attrs()
            if name not in (b".", b".."):
                entries.append((name, attrs))
        return None

    def _ask_limits(self) -> None:
        reply = self._channel.call(wire.EXTENDED, wire.string(b"limits@openssh.com"), wire.EXTENDED_REPLY)
        _, most_read, most_write = reply.long(), reply.long(), reply.long()
        self._read_bytes = min(most_read, _LARGE_BYTES) or _SAFE_BYTES
        self._write_bytes = min(most_write, _LARGE_BYTES) or _SAFE_BYTES

    def _ask_reads(
        self,
        handle: bytes,
        offset: int,
        todo: deque[tuple[int, int]],
        under_way: deque[tuple[int, int, int]],
    ) -> None:
        window = max(1, _UNDER_WAY_BYTES // self._read_bytes)
        while todo and len(under_way) < window:
            at, count = todo.popleft()
            body = wire.string(handle) + struct.pack(">QI", offset + at, count)
            under_way.append((self._channel.request(wire.READ, body), at, count))

    def _data(self, number: int, most: int) -> bytes:
        try:
            data = self._channel.reply(number, wire.DATA).string()
        except SftpStatus as status:
            if status.code == wire.END_OF_FILE:
                return b""
            raise
        if len(data) > most:
            raise wire.Malformed("the SFTP server sends more than was asked for")
        return data


def _pieces(length: int, size: int) -> Iterator[tuple[int, int]]:
    return ((at, min(size, length - at)) for at in range(0, length, size))
