"""Number ids, and find their numbers again, in some 40 bytes an id where a dict takes 200."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

from repository.ids import ID_BYTES, split_ids

NONE = 0  # the row of no id

_ID = struct.Struct(f"{ID_BYTES}s")
_FIRST_SLOTS = 1 << 8
_CHUNK_ROWS = 1 << 13


class IdTable:
    """Ids in rows from 1 on, in the order they came, and a hash table of row numbers (open addressing).

    One thread adds at a time; any number may look meanwhile, without a lock: a row is complete before a slot
    names it, and grown slots are put in place at once. Slots follow from Python's own hash of the id, keyed
    anew in every process: not even somebody who picks the ids can make many of them meet in one slot.
    """

    def __init__(self) -> None:
        self._ids = bytearray(ID_BYTES)  # row 0 is nobody's
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))
        self._repeated = 0

    def __len__(self) -> int:
        return self.end - 1 - self._repeated

    @property
    def end(self) -> int:
        """The number that the next row gets."""
        return len(self._ids) // ID_BYTES

    def find(self, wanted: bytes) -> int:
        """Return the first row of an id (32 bytes), NONE if it has none."""
        slots = self._slots
        mask = len(slots) - 1
        slot = hash(wanted) & mask
        while row := slots[slot]:
            if self._ids.startswith(wanted, row * ID_BYTES):
                return row
            slot = (slot + 1) & mask
        return NONE

    def id_of(self, row: int) -> bytes:
        """Return the id of a row."""
        found: tuple[bytes] = _ID.unpack_from(self._ids, row * ID_BYTES)
        return found[0]

    def append(self, new: bytes) -> int:
        """Add a row and return its number; an id that has one already keeps its first for `find`."""
        row = self.end
        self.extend(new)
        return row

    def extend(self, new: bytes) -> list[tuple[int, int]]:
        """Add a row for each of these ids (joined); return (first row, row) for each that had one before."""
        self.reserve(self.end + len(new) // ID_BYTES)
        start = self.end
        self._ids += new
        repeats = self._enter(self._slots, new, start)
        self._repeated += len(repeats)
        return repeats

    def reserve(self, rows: int) -> None:
        """Make slots for this many rows in all; half of them stay free, so that a search ends soon."""
        count = len(self._slots)
        while count < 2 * rows:
            count *= 2
        if count == len(self._slots):
            return
        slots = array("I", bytes(4)) * count
        start = 1
        while chunk := self._chunk(start):
            self._enter(slots, chunk, start)
            start += len(chunk) // ID_BYTES
        self._slots = slots

    def ids(self) -> Iterator[bytes]:
        """Yield the id of every row."""
        start = 1
        while chunk := self._chunk(start):
            yield from split_ids(chunk)
            start += len(chunk) // ID_BYTES

    def _chunk(self, start: int) -> bytes:
        # A copy: a bytearray that somebody holds a view of cannot grow.
        return bytes(self._ids[start * ID_BYTES : (start + _CHUNK_ROWS) * ID_BYTES])

    def _enter(self, slots: array[int], new: bytes, start: int) -> list[tuple[int, int]]:
        mask = len(slots) - 1
        is_at = self._ids.startswith
        repeats = []
        for row, each in enumerate(split_ids(new), start):
            slot = hash(each) & mask
            while taken := slots[slot]:
                if is_at(each, taken * ID_BYTES):
                    repeats.append((taken, row))
                    break
                slot = (slot + 1) & mask
            else:
                slots[slot] = row
        return repeats
