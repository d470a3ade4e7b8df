"""The places of the blobs of one type: a row of five numbers each, not an object."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import itemgetter
from typing import NamedTuple

from repository.bloblist import BlobList
from repository.crypto import OVERHEAD
from repository.ids import split_ids
from repository.idtable import NONE, IdTable
from repository.packfile import BlobType, PackedBlob

_CROWD = 16
_CHUNK_ROWS = 1 << 13
_ROW = struct.Struct("=5I")  # a Place, and the number of the next row of the same blob
_NEXT = struct.Struct("=I")
_NEXT_AT = _ROW.size - _NEXT.size


class Place(NamedTuple):
    """A row without its id. `pack` is a number; `plain` is the uncompressed length, 0: not compressed."""

    pack: int
    offset: int
    length: int
    plain: int


class Columns(NamedTuple):
    """Many blobs of one type: `ids` joined, and a column for each part of their places."""

    ids: bytes
    packs: array[int]
    offsets: array[int]
    lengths: array[int]
    plains: array[int]

    def rows(self) -> Iterator[tuple[bytes, Place]]:
        """Yield them one by one."""
        places = map(Place, self.packs, self.offsets, self.lengths, self.plains)
        return zip(split_ids(self.ids), places, strict=True)


def columns_of(pack: int, blobs: Sequence[PackedBlob] | BlobList) -> Iterator[tuple[BlobType, Columns]]:
    """Yield the blobs of one pack in columns, type by type."""
    if isinstance(blobs, BlobList):
        packs, starts = array("I", [pack]) * len(blobs), array("I", islice(blobs.offsets(), len(blobs)))
        yield blobs.type, Columns(bytes(blobs.ids), packs, starts, blobs.lengths, blobs.plains)
        return
    for kind in sorted({blob.type for blob in blobs}):
        _, ids, offsets, lengths, plains = zip(*[blob for blob in blobs if blob.type == kind], strict=True)
        numbers = array("I", [pack]) * len(ids)
        columns = (array("I", offsets), array("I", lengths), array("I", [plain or 0 for plain in plains]))
        yield kind, Columns(b"".join(ids), numbers, *columns)


class BlobTable(IdTable):
    """Ids with the places they are at: 60 bytes a blob in all. Rows of one id hang together by `_next`.

    For the threads, see IdTable.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = bytearray(_ROW.size)  # row 0 is nobody's
        self._by_pack: tuple[array[int], array[int]] | None = None
        self._crowds: dict[int, set[Place]] = {}

    def add(self, blob_id: bytes, place: Place) -> None:
        """Add one place of a blob; nothing changes if it is known."""
        if (first := self.find(blob_id)) and self._is_known(first, place):
            return
        self._rows += _ROW.pack(*place, NONE)
        row = self.append(blob_id)
        if first:
            self._link(first, row)

    def add_columns(self, new: Columns) -> None:
        """Add many at once, ten times as fast. None of the packs may have been there before."""
        rows = array("I", bytes(_ROW.size)) * len(new.packs)
        for number, column in enumerate((new.packs, new.offsets, new.lengths, new.plains)):
            rows[number::5] = column
        self._rows += rows.tobytes()
        for first, row in self.extend(new.ids):
            if self._is_known(first, self.place(row)):
                # No place is like this: the row is void.
                _ROW.pack_into(self._rows, row * _ROW.size, 0, 0, 0, 0, NONE)
            else:
                self._link(first, row)

    def place(self, row: int) -> Place:
        """Return what a row says."""
        return Place(*_ROW.unpack_from(self._rows, row * _ROW.size)[:4])

    def places_of(self, blob_id: bytes) -> list[tuple[int, int, int, int]]:
        """Return the places of a blob, the first one in front; bare tuples, for they are asked for often."""
        row, places = self.find(blob_id), []
        while row:
            pack, offset, length, plain, row = _ROW.unpack_from(self._rows, row * _ROW.size)
            places.append((pack, offset, length, plain))
        return places

    def first_place_of(self, blob_id: bytes) -> tuple[int, int, int, int] | None:
        """Return the first place of a blob, if it has one."""
        row = self.find(blob_id)
        if not row:
            return None
        pack, offset, length, plain, _ = _ROW.unpack_from(self._rows, row * _ROW.size)
        return pack, offset, length, plain

    def rows(self) -> Iterator[tuple[bytes, Place]]:
        """Yield all rows; such as are added meanwhile may be left out."""
        # A row is there before its id.
        for blob_id, (pack, offset, length, plain, _) in zip(self.ids(), self._all_rows(), strict=False):
            if length:
                yield blob_id, Place(pack, offset, length, plain)

    def rows_in(self, pack: int) -> array[int]:
        """Return the rows of a pack. Sorts all rows by pack if some were added since the last time."""
        if self._by_pack is None or len(self._by_pack[1]) != self.end:
            self._by_pack = self._sort_by_pack()
        starts, rows = self._by_pack
        return rows[starts[pack] : starts[pack + 1]] if pack + 1 < len(starts) else rows[:0]

    def plain_length(self, row: int) -> int:
        """Return the length of the content of a row's blob."""
        _, _, length, plain, _ = _ROW.unpack_from(self._rows, row * _ROW.size)
        return int(plain or length - OVERHEAD)

    def _link(self, first: int, row: int) -> None:
        # The new row first: who follows the rows meanwhile finds them all.
        _NEXT.pack_into(self._rows, row * _ROW.size + _NEXT_AT, self._next(first))
        _NEXT.pack_into(self._rows, first * _ROW.size + _NEXT_AT, row)

    def _next(self, row: int) -> int:
        return int(_NEXT.unpack_from(self._rows, row * _ROW.size + _NEXT_AT)[0])

    def _is_known(self, first: int, place: Place) -> bool:
        """Tell whether one of the rows that start with `first` is at this place.

        Honest repositories have a few rows of one blob. Where somebody who holds the key listed one blob a
        million times, a set keeps this from looking at each pair of them.
        """
        crowd = self._crowds.get(first)
        if crowd is None:
            places = {self.place(row) for row in islice(self._chain(first), _CROWD)}
            if len(places) < _CROWD:
                return place in places
            crowd = self._crowds[first] = {self.place(row) for row in self._chain(first)}
        known = place in crowd
        crowd.add(place)  # the caller adds the row next
        return known

    def _chain(self, row: int) -> Iterator[int]:
        while row:
            yield row
            row = self._next(row)

    def _all_rows(self) -> Iterator[tuple[int, ...]]:
        start, size = _ROW.size, _CHUNK_ROWS * _ROW.size
        # A copy: a bytearray that somebody holds a view of cannot grow.
        while chunk := bytes(self._rows[start : start + size]):
            yield from _ROW.iter_unpack(chunk)
            start += len(chunk)

    def _sort_by_pack(self) -> tuple[array[int], array[int]]:
        """Return (starts, rows): the rows of pack p are rows[starts[p]:starts[p + 1]]."""
        packs = array("I", chain((0,), map(itemgetter(0), self._all_rows())))
        counts = array("I", bytes(4)) * (max(packs) + 1)
        for pack in packs:
            counts[pack] += 1
        starts = array("I", accumulate(counts, initial=0))
        rows, free = array("I", bytes(4)) * len(packs), starts[:]
        for row, pack in enumerate(packs):
            rows[free[pack]] = row
            free[pack] += 1
        return starts, rows
