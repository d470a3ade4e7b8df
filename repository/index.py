"""Where every blob is: the union of all index files, in memory."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Container, Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from repository.bloblist import BlobList
from repository.blobtable import BlobTable, Columns, columns_of
from repository.ids import split_ids
from repository.idtable import IdTable
from repository.indexfile import IndexColumns
from repository.packfile import (
    COMPRESSED_ENTRY_BYTES,
    PLAIN_ENTRY_BYTES,
    BlobType,
    PackedBlob,
    header_size,
)


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


class PackTotal(NamedTuple):
    """What the index says of one pack; `size_bytes` is of the whole file, so with its header."""

    id: bytes
    data_blobs: int
    tree_blobs: int
    size_bytes: int


class Index:
    """Look blobs up by type and id, and know which are being stored right now. Safe for several threads.

    A million blobs take some 65 MB: rows of numbers (BlobTable), not objects. Looking takes no lock.
    """

    def __init__(self) -> None:
        self._tables: dict[BlobType, BlobTable] = {"data": BlobTable(), "tree": BlobTable()}
        self._packs = IdTable()
        self._pending: dict[BlobType, set[bytes]] = {"data": set(), "tree": set()}
        self._lock = threading.Lock()
        self.files: set[bytes] = set()  # the index files that it was loaded from

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    @property
    def pack_count(self) -> int:
        """How many packs it lists."""
        return len(self._packs)

    def has(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the blob is in a pack that is stored."""
        return self._tables[blob_type].find(blob_id) != 0

    def lookup(self, blob_type: BlobType, blob_id: bytes) -> list[Location]:
        """Return every known place of the blob, the one added first in front; an empty list if none."""
        id_of = self._packs.id_of
        return [
            Location(id_of(pack), offset, length, plain or None)
            for pack, offset, length, plain in self._tables[blob_type].places_of(blob_id)
        ]

    def first_place(self, blob_type: BlobType, blob_id: bytes) -> Location | None:
        """Return the place of the blob that was added first, in half the time of `lookup`; None if none."""
        place = self._tables[blob_type].first_place_of(blob_id)
        if place is None:
            return None
        pack, offset, length, plain = place
        return Location(self._packs.id_of(pack), offset, length, plain or None)

    def plain_length(self, blob_type: BlobType, blob_id: bytes) -> int | None:
        """Return the length of the blob's content; None if the blob is not known."""
        table = self._tables[blob_type]
        row = table.find(blob_id)
        return table.plain_length(row) if row else None

    def add_pack(self, pack: bytes, blobs: Iterable[PackedBlob]) -> None:
        """Take in the blobs of a stored pack; none of them is pending any more. Twice is harmless."""
        blobs = blobs if isinstance(blobs, BlobList) else list(blobs)
        with self._lock:
            number = self._packs.find(pack)
            is_new = not number
            number = number or self._packs.append(pack)
            for kind, columns in columns_of(number, blobs):
                if is_new:
                    self._tables[kind].add_columns(columns)
                else:
                    self._add_one_by_one(kind, columns)
                if pending := self._pending[kind]:
                    pending.difference_update(split_ids(columns.ids))

    def add_columns(self, listed: IndexColumns) -> None:
        """Take in many packs of an index file, as add_pack does one pack, but several times as fast."""
        with self._lock:
            numbers, are_new = self._numbers(listed.packs)
            for kind, blobs in listed.blobs.items():
                packs = array("I", chain.from_iterable(map(repeat, numbers, blobs.counts)))
                columns = Columns(blobs.ids, packs, blobs.offsets, blobs.lengths, blobs.plains)
                if are_new:
                    self._tables[kind].add_columns(columns)
                else:
                    self._add_one_by_one(kind, columns)

    def expect(self, factor: float, at_most: int) -> None:
        """Make room at once for `factor` times as much: growing step by step takes a third longer."""
        with self._lock:
            for table in (*self._tables.values(), self._packs):
                table.reserve(min(int(table.end * factor), at_most))

    def claim(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the caller must store this blob: it is neither known nor being stored by another."""
        pending = self._pending[blob_type]
        with self._lock:
            if blob_id in pending or self._tables[blob_type].find(blob_id):
                return False
            pending.add(blob_id)
            return True

    def drop_pending(self) -> None:
        """Forget what was claimed and never stored, after a writer gave up."""
        with self._lock:
            for pending in self._pending.values():
                pending.clear()

    def places(self) -> Iterator[tuple[BlobType, bytes, Location]]:
        """Yield every place of every blob; one that is added meanwhile may be left out."""
        for kind, table in self._tables.items():
            for blob_id, place in table.rows():
                pack, offset, length, plain = place
                yield kind, blob_id, Location(self._packs.id_of(pack), offset, length, plain or None)

    def pack_totals(self) -> Iterator[PackTotal]:
        """Yield what the index says of each pack, also one that holds nothing."""
        with self._lock:
            end = self._packs.end
            sizes = array("Q", bytes(8)) * end
            counts = {kind: array("I", bytes(4)) * end for kind in self._tables}
            for kind, table in self._tables.items():
                count = counts[kind]
                for _, (pack, _, length, plain) in table.rows():
                    count[pack] += 1
                    sizes[pack] += length + (COMPRESSED_ENTRY_BYTES if plain else PLAIN_ENTRY_BYTES)
        empty = header_size(())
        for pack in range(1, end):
            yield PackTotal(
                self._packs.id_of(pack), counts["data"][pack], counts["tree"][pack], sizes[pack] + empty
            )

    def blobs_by_pack(self) -> Iterator[tuple[bytes, list[PackedBlob]]]:
        """Yield each pack with its blobs by offset: the bulk way of blobs_in."""
        for number in range(1, self._packs.end):
            yield self._packs.id_of(number), self._blobs_in(number)

    def without(self, packs: Container[bytes]) -> Index:
        """Return another index that lists all but these packs, and says it was loaded from the same files."""
        kept = Index()
        kept.files = set(self.files)
        for pack, blobs in self.blobs_by_pack():
            if pack not in packs:
                kept.add_pack(pack, blobs)
        return kept

    def blobs_in(self, pack: bytes) -> list[PackedBlob]:
        """Return what the index says is in a pack, by offset.

        The first call after something was added sorts the whole index (half a second for a million blobs).
        """
        number = self._packs.find(pack)
        return self._blobs_in(number) if number else []

    def _blobs_in(self, number: int) -> list[PackedBlob]:
        found = []
        for kind, table in self._tables.items():
            with self._lock:
                rows = table.rows_in(number)
            for row in rows:
                _, offset, length, plain = table.place(row)
                found.append(PackedBlob(kind, table.id_of(row), offset, length, plain or None))
        return sorted(found, key=lambda blob: blob.offset)

    def _add_one_by_one(self, kind: BlobType, columns: Columns) -> None:
        for blob_id, place in columns.rows():
            self._tables[kind].add(blob_id, place)

    def _number(self, pack: bytes) -> int:
        return self._packs.find(pack) or self._packs.append(pack)

    def _numbers(self, packs: list[bytes]) -> tuple[Iterable[int], bool]:
        """Return the numbers of these packs, and whether none of them had one before."""
        if len(set(packs)) < len(packs) or any(map(self._packs.find, packs)):
            return [self._number(pack) for pack in packs], False
        start = self._packs.end
        self._packs.extend(b"".join(packs))
        return range(start, self._packs.end), True
