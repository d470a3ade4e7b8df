"""The places of the blobs of one type: a row of numbers each, in columns, not an object."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import NamedTuple

from repository.crypto import OVERHEAD
from repository.ids import split_ids
from repository.idtable import NONE, IdTable

_CROWD = 16


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


class BlobTable(IdTable):
    """Ids with the places they are at: 60 bytes a blob in all. Rows of one id hang together by `_next`.

    For the threads, see IdTable.
    """

    def __init__(self) -> None:
        super().__init__()
        # Row 0 is nobody's. The whole of a column is below 4 GiB: so is whatever is in a pack.
        self._packs, self._offsets, self._lengths, self._plains, self._next = (
            array("I", [0]) for _ in range(5)
        )
        self._by_pack: tuple[array[int], array[int]] | None = None
        self._crowds: dict[int, set[Place]] = {}

    def add(self, blob_id: bytes, place: Place) -> None:
        """Add one place of a blob; nothing changes if it is known."""
        if (first := self.find(blob_id)) and self._is_known(first, place):
            return
        columns = (self._packs, self._offsets, self._lengths, self._plains, self._next)
        for column, value in zip(columns, (*place, NONE), strict=True):
            column.append(value)
        row = self.append(blob_id)
        if first:
            self._link(first, row)

    def add_columns(self, new: Columns) -> None:
        """Add many at once, ten times as fast. None of the packs may have been there before."""
        self._packs += new.packs
        self._offsets += new.offsets
        self._lengths += new.lengths
        self._plains += new.plains
        self._next += array("I", bytes(4)) * len(new.packs)
        for first, row in self.extend(new.ids):
            if self._is_known(first, self.place(row)):
                self._packs[row] = self._lengths[row] = 0  # no place is like this: the row is void
            else:
                self._link(first, row)

    def place(self, row: int) -> Place:
        """Return what a row says."""
        return Place(self._packs[row], self._offsets[row], self._lengths[row], self._plains[row])

    def places_of(self, blob_id: bytes) -> list[tuple[int, int, int, int]]:
        """Return the places of a blob, the first one in front; bare tuples, for they are asked for often."""
        packs, offsets, lengths, plains = self._packs, self._offsets, self._lengths, self._plains
        row, places = self.find(blob_id), []
        while row:
            places.append((packs[row], offsets[row], lengths[row], plains[row]))
            row = self._next[row]
        return places

    def rows(self) -> Iterator[tuple[bytes, Place]]:
        """Yield all rows; such as are added meanwhile may be left out."""
        columns = (self._packs, self._offsets, self._lengths, self._plains)
        places = map(Place, *(islice(column, 1, self.end) for column in columns))
        return ((each, place) for each, place in zip(self.ids(), places, strict=False) if place.length)

    def rows_in(self, pack: int) -> array[int]:
        """Return the rows of a pack. Sorts all rows by pack if some were added since the last time."""
        if self._by_pack is None or len(self._by_pack[1]) != self.end:
            self._by_pack = self._sort_by_pack()
        starts, rows = self._by_pack
        return rows[starts[pack] : starts[pack + 1]] if pack + 1 < len(starts) else rows[:0]

    def plain_length(self, row: int) -> int:
        """Return the length of the content of a row's blob."""
        return self._plains[row] or self._lengths[row] - OVERHEAD

    def _link(self, first: int, row: int) -> None:
        self._next[row] = self._next[first]
        self._next[first] = row

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
            row = self._next[row]

    def _sort_by_pack(self) -> tuple[array[int], array[int]]:
        """Return (starts, rows): the rows of pack p are rows[starts[p]:starts[p + 1]]."""
        packs = self._packs
        counts = array("I", bytes(4)) * (max(packs) + 1)
        for pack in packs:
            counts[pack] += 1
        starts = array("I", accumulate(counts, initial=0))
        rows, free = array("I", bytes(4)) * len(packs), starts[:]
        for row, pack in enumerate(packs):
            rows[free[pack]] = row
            free[pack] += 1
        return starts, rows
