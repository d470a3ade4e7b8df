"""Read a tar archive as it comes: ustar, GNU and pax headers, sparse files of every kind GNU tar writes.

Format facts: POSIX.1-2017 `pax` (ustar and extended headers), GNU tar's manual, appendix "Tar Internals".
Whoever sends the archive is not trusted: what is malformed, too long or cut off raises TarError, and memory
is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_BLOCK = 512
_READ_BYTES = 256 * 1024
_MOST_HEADER_BYTES = 1024 * 1024  # of a long name or of pax records
_MOST_EXTENTS = 1_000_000
_ZERO_BLOCK = bytes(_BLOCK)
_REGULAR = b"0\0" + b"7"


class TarError(Exception):
    """What comes is no tar archive, or it ends too soon; says where."""


@dataclass(slots=True)
class Member:
    """One member. `kind` is the header's type letter, "0" for every regular file, also a sparse one.

    `size` is what its content has when read here, with holes filled. Times are nanoseconds since the epoch.
    """

    name: bytes
    kind: str
    size: int
    mode: int = 0
    mtime_ns: int = 0
    uid: int = 0
    gid: int = 0
    user: bytes = b""
    group: bytes = b""
    linkname: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


class TarStream:
    """The members of an archive, in order; `readinto` reads the content of the one that came last."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """Take what returns at most so many bytes, and b"" at the end."""
        self._read = read
        self._chunk = b""
        self._at = 0
        self._global: dict[bytes, bytes] = {}
        self._extents: list[tuple[int, int]] = []  # (offset, length) of the member's data still to come
        self._place = 0  # in the member, as it is read
        self._size = 0
        self._packed_left = 0  # bytes of the member still in the archive, without padding
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield each member; what is left of the one before is skipped."""
        while (member := self._next()) is not None:
            yield member

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with the member's content, holes as zeros; return the count, 0 at its end."""
        filled = 0
        while filled < len(buffer) and self._place < self._size:
            count = self._read_some(buffer[filled:])
            self._place += count
            filled += count
        return filled

    def finish(self) -> None:
        """Read on to the end of the archive, so that its sender can end, too."""
        self._skip_rest()
        while self._read(_READ_BYTES):
            pass

    def _next(self) -> Member | None:
        self._skip_rest()
        records: dict[bytes, bytes] = {}
        sparse: list[tuple[bytes, bytes]] = []
        while (header := self._header()) is not None:
            kind = header[156:157]
            if kind in b"LKxgX":
                self._extension(kind, header, records, sparse)
                continue
            return self._begin(header, {**self._global, **records}, sparse)
        if records:
            raise TarError("the archive ends after an extended header")
        return None

    def _header(self) -> bytes | None:
        """Return the next header; None at the end mark."""
        header = self._exactly(_BLOCK)
        if header == _ZERO_BLOCK:
            return None
        # The checksum counts its own field as eight spaces.
        if sum(header) - sum(header[148:156]) + 256 != _number(header[148:156]):
            raise TarError("a header's checksum is wrong: this is no tar archive, or it is damaged")
        return header

    def _extension(
        self, kind: bytes, header: bytes, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]
    ) -> None:
        length = _number(header[124:136])
        if not 0 <= length <= _MOST_HEADER_BYTES:
            raise TarError(f"a header of {length} bytes is more than any honest archive has")
        data = self._exactly(length + -length % _BLOCK)[:length]
        if kind == b"L":
            records[b"path"] = data.rstrip(b"\0")
        elif kind == b"K":
            records[b"linkpath"] = data.rstrip(b"\0")
        elif kind == b"g":
            self._global.update(_records(data))
        else:
            found = _records(data)
            records.update(found)
            sparse += [record for record in found if record[0] in _SPARSE_0_0]

    def _begin(self, header: bytes, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]) -> Member:
        kind = header[156:157]
        packed = _decimal(records[b"size"]) if b"size" in records else _number(header[124:136])
        if packed < 0:
            raise TarError("a member's size is negative")
        if kind not in b"0\x007S":
            packed = 0 if kind in b"123456" else packed
        member = Member(_name(header, records), "0" if kind in b"0\x007S" else kind.decode("latin-1"), packed)
        self._size, self._place = packed, 0
        self._packed_left, self._padding = packed, -packed % _BLOCK
        self._extents = [(0, packed)]
        if kind == b"S":
            self._old_sparse(header)
        elif sparse or any(key.startswith(b"GNU.sparse.") for key in records):
            self._pax_sparse(records, sparse)
        self._extents.reverse()
        member.size = self._size
        _describe(member, header, records)
        return member

    def _old_sparse(self, header: bytes) -> None:
        """Take the extents in a GNU header of type S, and in the blocks that follow it."""
        extents = _extents_in(header, 386, 4)
        more = header[482] != 0
        while more:
            block = self._exactly(_BLOCK)
            extents += _extents_in(block, 0, 21)
            more = block[504] != 0
            _check_count(len(extents))
        self._set_sparse(extents, _number(header[483:495]))

    def _pax_sparse(self, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]) -> None:
        real = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b"0"
        if records.get(b"GNU.sparse.major") == b"1":
            extents = self._sparse_1_0()
        elif b"GNU.sparse.map" in records:
            numbers = [_decimal(text) for text in records[b"GNU.sparse.map"].split(b",") if text]
            extents = list(zip(numbers[::2], numbers[1::2], strict=False))
        else:
            offsets = [_decimal(value) for key, value in sparse if key == b"GNU.sparse.offset"]
            lengths = [_decimal(value) for key, value in sparse if key == b"GNU.sparse.numbytes"]
            extents = list(zip(offsets, lengths, strict=False))
        self._set_sparse(extents, _decimal(real))

    def _sparse_1_0(self) -> list[tuple[int, int]]:
        """Take the map before the data: lines of decimal numbers, padded to whole blocks."""
        text = self._map_block()
        while b"\n" not in text:
            text += self._map_block()
        count = _decimal(text.partition(b"\n")[0])
        _check_count(count)
        while text.count(b"\n") < 1 + 2 * count:
            text += self._map_block()
        numbers = [_decimal(line) for line in text.split(b"\n")[1 : 1 + 2 * count]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _map_block(self) -> bytes:
        if self._packed_left < _BLOCK:
            raise TarError("the map of a sparse member runs past its data")
        self._packed_left -= _BLOCK
        return self._exactly(_BLOCK)

    def _set_sparse(self, extents: list[tuple[int, int]], size: int) -> None:
        end = total = 0
        for offset, length in extents:
            if offset < end or length < 0:
                raise TarError("the map of a sparse member is not in order")
            end, total = offset + length, total + length
        if end > size or total != self._packed_left:
            raise TarError("the map of a sparse member does not fit its size")
        self._size = size
        self._extents = [extent for extent in extents if extent[1]]

    def _read_some(self, buffer: memoryview) -> int:
        offset, length = self._extents[-1] if self._extents else (self._size, 0)
        if self._place < offset:
            count = min(len(buffer), offset - self._place)
            buffer[:count] = bytes(count)
            return count
        data = self._some(min(len(buffer), length))
        count = len(data)
        buffer[:count] = data
        self._packed_left -= count
        if count == length:
            self._extents.pop()
        else:
            self._extents[-1] = (offset + count, length - count)
        return count

    def _skip_rest(self) -> None:
        left = self._packed_left + self._padding
        while left:
            left -= len(self._some(left))
        self._packed_left = self._padding = self._place = self._size = 0

    def _some(self, most: int) -> bytes:
        """Return between 1 and `most` bytes. Raises TarError at the end of what comes."""
        if self._at == len(self._chunk):
            self._chunk, self._at = self._read(_READ_BYTES), 0
            if not self._chunk:
                raise TarError("the archive ends in the middle")
        start = self._at
        self._at = min(len(self._chunk), start + most)
        return self._chunk[start : self._at]

    def _exactly(self, count: int) -> bytes:
        start, end = self._at, self._at + count
        if end <= len(self._chunk):
            self._at = end
            return self._chunk[start:end]
        parts = []
        while count:
            parts.append(self._some(count))
            count -= len(parts[-1])
        return b"".join(parts)


_SPARSE_0_0 = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")


def _name(header: bytes, records: dict[bytes, bytes]) -> bytes:
    name = records.get(b"GNU.sparse.name") or records.get(b"path")
    if name is not None:
        return name
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        return _text(header[345:500]) + b"/" + name
    return name


def _describe(member: Member, header: bytes, records: dict[bytes, bytes]) -> None:
    member.mode = _number(header[100:108]) & 0o7777
    member.uid = _decimal(records[b"uid"]) if b"uid" in records else _number(header[108:116])
    member.gid = _decimal(records[b"gid"]) if b"gid" in records else _number(header[116:124])
    member.user = records.get(b"uname", _text(header[265:297]))
    member.group = records.get(b"gname", _text(header[297:329]))
    member.linkname = records.get(b"linkpath", _text(header[157:257]))
    mtime = records.get(b"mtime")
    member.mtime_ns = _number(header[136:148]) * 10**9 if mtime is None else nanoseconds(mtime)
    if member.kind in "34":
        member.device = _number(header[329:337]), _number(header[337:345])
    if records:
        prefix = b"SCHILY.xattr."
        member.xattrs = {
            key[len(prefix) :]: value for key, value in records.items() if key.startswith(prefix)
        }


def nanoseconds(text: bytes) -> int:
    """Return the time written as seconds with a fraction; of a negative time the fraction is taken away, too.

    Raises TarError.
    """
    whole, _, fraction = text.partition(b".")
    if fraction and not fraction.isdigit():
        raise TarError(f"{text[:40]!r} is no time")
    below = int((fraction + b"000000000")[:9])
    return _decimal(whole or b"0") * 10**9 + (-below if whole.startswith(b"-") else below)


def _text(field_: bytes) -> bytes:
    return field_.partition(b"\0")[0]


def _number(field_: bytes) -> int:
    """Return a header's number: octal digits, or, with the top bit set, base 256."""
    if field_[0] & 0x80:
        value = int.from_bytes(field_, "big") & ~(0x80 << 8 * (len(field_) - 1))
        return value - (1 << 8 * len(field_) - 1) if field_[0] & 0x40 else value
    try:
        return int(field_.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise TarError(f"{field_!r} is no number of a tar header") from error


def _decimal(text: bytes) -> int:
    if len(text) > 40:
        raise TarError("a number in a pax header is too long")
    try:
        return int(text)
    except ValueError as error:
        raise TarError(f"{text!r} is no number of a pax header") from error


def _records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records of a pax header: each is its own length, a space, key=value, a newline."""
    found = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = _decimal(data[at:space]) if space > at else 0
        if length <= space - at + 1 or data[at + length - 1 : at + length] != b"\n":
            raise TarError("a pax header is malformed")
        key, _, value = data[space + 1 : at + length - 1].partition(b"=")
        found.append((key, value))
        at += length
    return found


def _extents_in(block: bytes, at: int, most: int) -> list[tuple[int, int]]:
    """Return the extents of an old GNU sparse header: pairs of numbers, 12 bytes each, until an empty one."""
    found = []
    for place in range(at, at + 24 * most, 24):
        if not block[place + 12]:
            break
        found.append((_number(block[place : place + 12]), _number(block[place + 12 : place + 24])))
    return found


def _check_count(count: int) -> None:
    if not 0 <= count <= _MOST_EXTENTS:
        raise TarError(f"a sparse member of {count} pieces is more than any honest archive has")
