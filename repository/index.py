"""Where every blob is: the union of all index files, in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from repository.packfile import BlobType, PackedBlob


class Location(NamedTuple):
    """One place of a blob. `length` is as stored, sealed; no `uncompressed_length`: not compressed."""

    pack: bytes
    offset: int
    length: int
    uncompressed_length: int | None

    @property
    def plain_length(self) -> int:
        """The length of the blob's content (sealing adds 32 bytes)."""
        return self.length - 32 if self.uncompressed_length is None else self.uncompressed_length


_FIELD = 1 << 32  # offsets, lengths: below 4 GiB each (restic-format.md, section 6)


class Index:
    """Look blobs up by type and id, and know which are being stored right now. Safe for several threads.

    A place is one int per blob (pack number, offset, length, uncompressed length), not an object.
    """

    def __init__(self) -> None:
        self._places: dict[BlobType, dict[bytes, int]] = {"data": {}, "tree": {}}
        self._more: dict[tuple[BlobType, bytes], list[int]] = {}
        self._packs: list[bytes] = []
        self._pack_numbers: dict[bytes, int] = {}
        self._pending: set[tuple[BlobType, bytes]] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def has(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the blob is in a pack that is stored."""
        return blob_id in self._places[blob_type]

    def lookup(self, blob_type: BlobType, blob_id: bytes) -> list[Location]:
        """Return every known place of the blob; an empty list if there is none."""
        place = self._places[blob_type].get(blob_id)
        if place is None:
            return []
        return [self._unpack(each) for each in (place, *self._more.get((blob_type, blob_id), ()))]

    def plain_length(self, blob_type: BlobType, blob_id: bytes) -> int | None:
        """Return the length of the blob's content; None if the blob is not known."""
        place = self._places[blob_type].get(blob_id)
        return None if place is None else self._unpack(place).plain_length

    def add_pack(self, pack: bytes, blobs: Iterable[PackedBlob]) -> None:
        """Take in the blobs of a stored pack; none of them is pending any more. Twice is harmless."""
        with self._lock:
            number = self._number(pack)
            for blob in blobs:
                self._add(blob, _pack_place(number, blob))
                self._pending.discard((blob.type, blob.id))

    def claim(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the caller must store this blob: it is neither known nor being stored by another."""
        with self._lock:
            if blob_id in self._places[blob_type] or (blob_type, blob_id) in self._pending:
                return False
            self._pending.add((blob_type, blob_id))
            return True

    def drop_pending(self) -> None:
        """Forget what was claimed and never stored, after a writer gave up."""
        with self._lock:
            self._pending.clear()

    def blobs_in(self, pack: bytes) -> list[PackedBlob]:
        """Return what the index says is in a pack, by offset. Looks through the whole index: for rare use."""
        found = []
        for blob_type, places in self._places.items():
            for blob_id in places:
                for location in self.lookup(blob_type, blob_id):
                    if location.pack == pack:
                        found.append(PackedBlob(blob_type, blob_id, *location[1:]))
        return sorted(found, key=lambda blob: blob.offset)

    def _number(self, pack: bytes) -> int:
        number = self._pack_numbers.get(pack)
        if number is None:
            number = self._pack_numbers[pack] = len(self._packs)
            self._packs.append(pack)
        return number

    def _add(self, blob: PackedBlob, place: int) -> None:
        first = self._places[blob.type].setdefault(blob.id, place)
        if first == place:
            return
        more = self._more.setdefault((blob.type, blob.id), [])
        if place not in more:
            more.append(place)

    def _unpack(self, place: int) -> Location:
        rest, uncompressed = divmod(place, _FIELD)
        rest, length = divmod(rest, _FIELD)
        number, offset = divmod(rest, _FIELD)
        return Location(self._packs[number], offset, length, uncompressed or None)


def _pack_place(number: int, blob: PackedBlob) -> int:
    uncompressed = blob.uncompressed_length or 0
    return ((number * _FIELD + blob.offset) * _FIELD + blob.length) * _FIELD + uncompressed
