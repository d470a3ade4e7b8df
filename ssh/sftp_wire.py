"""SFTP version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions) as bytes: no I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ssh.errors import SshError

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE = 3, 4, 5, 6
LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR = 7, 8, 9, 10, 11, 12, 13, 14, 15
REALPATH, STAT, RENAME, READLINK, SYMLINK = 16, 17, 18, 19, 20
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, END_OF_FILE, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE = 0, 1, 2, 3, 4
UNSUPPORTED = 8
NO_SPACE, QUOTA_EXCEEDED = 14, 15  # of later versions, but some servers send them

READ_ONLY, WRITE_ONLY, CREATE, TRUNCATE, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20

_SIZE, _OWNER, _MODE, _TIMES, _MORE = 0x1, 0x2, 0x4, 0x8, 0x80000000


class Malformed(SshError):
    """What the server sends does not have the form that the protocol demands."""


@dataclass(frozen=True, slots=True)
class Attrs:
    """Attributes of a file as SFTP knows them; None where not told. Times are whole seconds."""

    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    atime: int | None = None
    mtime: int | None = None


def string(data: bytes) -> bytes:
    """Return `data` with its length before it."""
    return struct.pack(">I", len(data)) + data


def packed(attrs: Attrs) -> bytes:
    """Return the attributes that are not None."""
    flags, body = 0, b""
    if attrs.size is not None:
        flags, body = flags | _SIZE, body + struct.pack(">Q", attrs.size)
    if attrs.uid is not None and attrs.gid is not None:
        flags, body = flags | _OWNER, body + struct.pack(">II", attrs.uid, attrs.gid)
    if attrs.mode is not None:
        flags, body = flags | _MODE, body + struct.pack(">I", attrs.mode)
    if attrs.atime is not None and attrs.mtime is not None:
        times = struct.pack(">II", attrs.atime & 0xFFFFFFFF, attrs.mtime & 0xFFFFFFFF)
        flags, body = flags | _TIMES, body + times
    return struct.pack(">I", flags) + body


class Reply:
    """A reply's fields, taken from its start to its end. Each raises Malformed where it is too short."""

    __slots__ = ("_at", "_body", "kind")

    def __init__(self, kind: int, body: bytes, at: int = 0) -> None:
        self.kind = kind
        self._body = body
        self._at = at

    def number(self) -> int:
        """Take an unsigned 32-bit number."""
        return int(self._unpack(">I", 4))

    def long(self) -> int:
        """Take an unsigned 64-bit number."""
        return int(self._unpack(">Q", 8))

    def string(self) -> bytes:
        """Take a string of bytes."""
        length = self.number()
        start, self._at = self._at, self._at + length
        if self._at > len(self._body):
            raise Malformed("a string of the SFTP server runs past its packet")
        return self._body[start : self._at]

    def attrs(self) -> Attrs:
        """Take attributes."""
        flags = self.number()
        size = self.long() if flags & _SIZE else None
        uid, gid = (self.number(), self.number()) if flags & _OWNER else (None, None)
        mode = self.number() if flags & _MODE else None
        atime, mtime = (self.number(), self.number()) if flags & _TIMES else (None, None)
        if flags & _MORE:
            for _ in range(2 * self.number()):
                self.string()
        return Attrs(size, uid, gid, mode, atime, mtime)

    @property
    def ended(self) -> bool:
        """Tell whether nothing is left."""
        return self._at >= len(self._body)

    def _unpack(self, form: str, length: int) -> int:
        try:
            value: int = struct.unpack_from(form, self._body, self._at)[0]
        except struct.error as error:
            raise Malformed("a packet of the SFTP server is too short") from error
        self._at += length
        return value
