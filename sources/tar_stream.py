"""Read a tar archive as it comes: ustar, GNU and pax headers, sparse files of every kind GNU tar writes.

Format facts: POSIX.1-2017 `pax` (ustar and extended headers), GNU tar's manual, appendix "Tar Internals".
Whoever sends the archive is not trusted: what is malformed, too long or cut off raises TarError, and memory
is bounded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from sources.tar_member import Member, TarError, decimal, name_in, number, records_in

__all__ = ["Member", "TarError", "TarStream"]

_BLOCK = 512
_READ_BYTES = 16 * 1024 * 1024  # all that is there: what is left behind is moved each time
_MOST_HEADER_BYTES = 1024 * 1024  # of a long name or of pax records
_MOST_HEADERS = 16  # before one member
_MOST_EXTENTS = 1_000_000
_ZERO_BLOCK = bytes(_BLOCK)
_ADLER = 65521  # what Adler-32 counts modulo


class TarStream:
    """The members of an archive, in order; `readinto` reads the content of the one that came last."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """Take what returns at most so many bytes, and b"" at the end."""
        self._read = read
        self._chunk = b""
        self._view = memoryview(self._chunk)
        self._at = 0
        self._global: dict[bytes, bytes] = {}
        self._global_bytes = 0
        self._extents: list[tuple[int, int]] = []  # (offset, length) of data still to come, the last first
        self._place = 0  # in the member, as it is read
        self._size = 0
        self._packed_left = 0  # bytes of the member still in the archive, without padding
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield each member; what is left of the one before is skipped."""
        while (member := self._next()) is not None:
            yield member

    @property
    def place(self) -> int:
        """How much of the member was read."""
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with the member's content, holes as zeros; return the count, 0 at its end."""
        filled = 0
        while filled < len(buffer) and self._place < self._size:
            count = self._read_some(buffer[filled:])
            self._place += count
            filled += count
        return filled

    def content(self) -> bytes | bytearray:
        """Return all of the member's content, of which nothing was read before."""
        end = self._at + self._size
        if self._packed_left == self._size and end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at, self._place, self._packed_left = end, self._size, 0
            return data
        buffer = bytearray(self._size)
        self.readinto(memoryview(buffer))
        return buffer

    def finish(self) -> None:
        """Read on to the end of the archive, so that its sender can end, too."""
        self._skip_rest()
        while self._read(_READ_BYTES):
            pass

    def _next(self) -> Member | None:
        self._skip_rest()
        records: dict[bytes, bytes] = {}
        sparse: list[tuple[bytes, bytes]] = []
        extensions = 0
        while (header := self._header()) is not None:
            kind = header[156:157]
            if kind in b"LKxgX":
                extensions += 1
                if extensions > _MOST_HEADERS:
                    raise TarError("more headers before one member than any honest archive has")
                self._extension(kind, header, records, sparse)
                continue
            merged = {**self._global, **records} if self._global else records
            return self._begin(header, merged, sparse)
        if records:
            raise TarError("the archive ends after an extended header")
        return None

    def _header(self) -> bytes | None:
        """Return the next header; None at the end mark."""
        header = self._exactly(_BLOCK)
        if header == _ZERO_BLOCK:
            return None
        # The checksum counts its own field as eight spaces. Adler-32 holds the sum of all bytes, plus one.
        total = (zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 256
        if (total - number(header[148:156])) % _ADLER:
            raise TarError("a header's checksum is wrong: this is no tar archive, or it is damaged")
        return header

    def _extension(
        self, kind: bytes, header: bytes, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]
    ) -> None:
        length = number(header[124:136])
        if not 0 <= length <= _MOST_HEADER_BYTES:
            raise TarError(f"a header of {length} bytes is more than any honest archive has")
        data = self._exactly(length + -length % _BLOCK)[:length]
        if kind == b"L":
            records[b"path"] = data.rstrip(b"\0")
        elif kind == b"K":
            records[b"linkpath"] = data.rstrip(b"\0")
        elif kind == b"g":
            self._global_bytes += length
            if self._global_bytes > _MOST_HEADER_BYTES:
                raise TarError("more headers for all members than any honest archive has")
            self._global.update(records_in(data))
        else:
            found = records_in(data)
            records.update(found)
            sparse += [record for record in found if record[0] in _SPARSE_0_0]

    def _begin(self, header: bytes, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]) -> Member:
        kind = header[156:157]
        packed = decimal(records[b"size"]) if b"size" in records else number(header[124:136])
        if packed < 0:
            raise TarError("a member's size is negative")
        if kind not in b"0\x007S":
            packed = 0 if kind in b"123456" else packed
        letter = "0" if kind in b"0\x007S" else kind.decode("latin-1")
        member = Member(name_in(header, records), letter, packed, header, records)
        self._size, self._place = packed, 0
        self._packed_left, self._padding = packed, -packed % _BLOCK
        self._extents = [(0, packed)]
        if kind == b"S":
            self._old_sparse(header)
        elif sparse or any(key.startswith(b"GNU.sparse.") for key in records):
            self._pax_sparse(records, sparse)
        self._extents.reverse()
        member.size = self._size
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
        self._set_sparse(extents, number(header[483:495]))

    def _pax_sparse(self, records: dict[bytes, bytes], sparse: list[tuple[bytes, bytes]]) -> None:
        real = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b"0"
        if records.get(b"GNU.sparse.major") == b"1":
            extents = self._sparse_1_0()
        elif b"GNU.sparse.map" in records:
            numbers = [decimal(text) for text in records[b"GNU.sparse.map"].split(b",") if text]
            extents = list(zip(numbers[::2], numbers[1::2], strict=False))
        else:
            offsets = [decimal(value) for key, value in sparse if key == b"GNU.sparse.offset"]
            lengths = [decimal(value) for key, value in sparse if key == b"GNU.sparse.numbytes"]
            extents = list(zip(offsets, lengths, strict=False))
        self._set_sparse(extents, decimal(real))

    def _sparse_1_0(self) -> list[tuple[int, int]]:
        """Take the map before the data: lines of decimal numbers, padded to whole blocks."""
        text = self._map_block()
        while b"\n" not in text:
            text += self._map_block()
        count = decimal(text.partition(b"\n")[0])
        _check_count(count)
        while text.count(b"\n") < 1 + 2 * count:
            text += self._map_block()
        numbers = [decimal(line) for line in text.split(b"\n")[1 : 1 + 2 * count]]
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

    def _some(self, most: int) -> memoryview:
        """Return between 1 and `most` bytes. Raises TarError at the end of what comes."""
        if self._at == len(self._chunk):
            self._chunk, self._at = self._read(_READ_BYTES), 0
            self._view = memoryview(self._chunk)
            if not self._chunk:
                raise TarError("the archive ends in the middle")
        start = self._at
        self._at = min(len(self._chunk), start + most)
        return self._view[start : self._at]

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


def _extents_in(block: bytes, at: int, most: int) -> list[tuple[int, int]]:
    """Return the extents of an old GNU sparse header: pairs of numbers, 12 bytes each, until an empty one."""
    found = []
    for place in range(at, at + 24 * most, 24):
        if not block[place + 12]:
            break
        found.append((number(block[place : place + 12]), number(block[place + 12 : place + 24])))
    return found


def _check_count(count: int) -> None:
    if not 0 <= count <= _MOST_EXTENTS:
        raise TarError(f"a sparse member of {count} pieces is more than any honest archive has")
