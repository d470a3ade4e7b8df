"""What the headers of one member of a tar archive say: ustar, GNU and pax fields. No I/O.

Format facts: POSIX.1-2017 `pax` (ustar and extended headers), GNU tar's manual, appendix "Tar Internals".
"""

from __future__ import annotations

from collections.abc import Mapping


class TarError(Exception):
    """What comes is no tar archive, or it ends too soon; says where."""


class Member:
    """One member. `kind` is the header's type letter, "0" for every regular file, also a sparse one.

    `size` is what its content has when read here, with holes filled. Times are nanoseconds since the epoch.
    All but name, kind and size is taken from the headers when it is asked for; that may raise TarError.
    """

    __slots__ = ("_header", "_records", "kind", "name", "size")

    def __init__(
        self, name: bytes, kind: str, size: int, header: bytes, records: Mapping[bytes, bytes]
    ) -> None:
        self.name = name
        self.kind = kind
        self.size = size
        self._header = header
        self._records = records

    @property
    def mode(self) -> int:
        """The twelve permission bits."""
        return number(self._header[100:108]) & 0o7777

    @property
    def uid(self) -> int:
        """The owner's number."""
        return self._owner(b"uid", 108)

    @property
    def gid(self) -> int:
        """The group's number."""
        return self._owner(b"gid", 116)

    @property
    def user(self) -> bytes:
        """The owner's name."""
        return self._records.get(b"uname", text(self._header[265:297]))

    @property
    def group(self) -> bytes:
        """The group's name."""
        return self._records.get(b"gname", text(self._header[297:329]))

    @property
    def linkname(self) -> bytes:
        """Where a link leads."""
        return self._records.get(b"linkpath", text(self._header[157:257]))

    @property
    def device(self) -> tuple[int, int]:
        """The major and minor number of a device."""
        if self.kind not in "34":
            return 0, 0
        return number(self._header[329:337]), number(self._header[337:345])

    @property
    def mtime_ns(self) -> int:
        """When its content changed last; whole seconds but for pax."""
        mtime = self._records.get(b"mtime")
        return number(self._header[136:148]) * 10**9 if mtime is None else nanoseconds(mtime)

    @property
    def ctime_ns(self) -> int | None:
        """When it changed last, its metadata included; None where the archive does not say."""
        ctime = self._records.get(b"ctime")
        return None if ctime is None else nanoseconds(ctime)

    @property
    def xattrs(self) -> dict[bytes, bytes]:
        """The extended attributes."""
        prefix = b"SCHILY.xattr."
        return {key[len(prefix) :]: value for key, value in self._records.items() if key.startswith(prefix)}

    def _owner(self, key: bytes, at: int) -> int:
        record = self._records.get(key)
        return number(self._header[at : at + 8]) if record is None else decimal(record)


def name_in(header: bytes, records: Mapping[bytes, bytes]) -> bytes:
    """Return a member's name."""
    name = records.get(b"GNU.sparse.name") or records.get(b"path")
    if name is not None:
        return name
    name = text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        return text(header[345:500]) + b"/" + name
    return name


def nanoseconds(written: bytes) -> int:
    """Return the time written as seconds with a fraction; of a negative time the fraction is taken away, too.

    Raises TarError.
    """
    whole, _, fraction = written.partition(b".")
    if fraction and not fraction.isdigit():
        raise TarError(f"{written[:40]!r} is no time")
    below = int((fraction + b"000000000")[:9])
    return decimal(whole or b"0") * 10**9 + (-below if whole.startswith(b"-") else below)


def text(field: bytes) -> bytes:
    """Return a header's text."""
    return field.partition(b"\0")[0]


def number(field: bytes) -> int:
    """Return a header's number: octal digits, or, with the top bit set, base 256. Raises TarError."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        return value - (1 << 8 * len(field) - 1) if field[0] & 0x40 else value
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise TarError(f"{field!r} is no number of a tar header") from error


def decimal(written: bytes) -> int:
    """Return a number of a pax header. Raises TarError."""
    if len(written) > 40:
        raise TarError("a number in a pax header is too long")
    try:
        return int(written)
    except ValueError as error:
        raise TarError(f"{written!r} is no number of a pax header") from error


def records_in(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records of a pax header: each is its own length, a space, key=value, a newline."""
    found = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = decimal(data[at:space]) if space > at else 0
        if length <= space - at + 1 or data[at + length - 1 : at + length] != b"\n":
            raise TarError("a pax header is malformed")
        key, _, value = data[space + 1 : at + length - 1].partition(b"=")
        found.append((key, value))
        at += length
    return found
