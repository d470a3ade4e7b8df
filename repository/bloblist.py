"""The blobs of one pack as columns of numbers: a sixth of what objects take, and quick to hand over."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from itertools import accumulate

from repository.crypto import OVERHEAD
from repository.errors import Damaged
from repository.ids import split_ids
from repository.packfile import (
    COMPRESSED,
    COMPRESSED_ENTRY,
    MAX_HEADER,
    MAX_PACK_BYTES,
    PLAIN_ENTRY,
    TYPES,
    BlobType,
    PackedBlob,
)

Row = tuple[BlobType, bytes, int, int, int | None]


class BlobList:
    """The blobs of a pack that we write, in the order they lie in it: all of one type, and without a gap.

    `ids` are joined; `plains` is 0 for what is not compressed.
    """

    __slots__ = ("ids", "lengths", "plains", "type")

    def __init__(self, blob_type: BlobType) -> None:
        self.type: BlobType = blob_type
        self.ids = bytearray()
        self.lengths = array("I")
        self.plains = array("I")

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[PackedBlob]:
        return map(PackedBlob._make, self.rows())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BlobList):
            return NotImplemented
        numbers = self.lengths == other.lengths and self.plains == other.plains
        return self.type == other.type and self.ids == other.ids and numbers

    __hash__ = None  # type: ignore[assignment]  # it grows

    def append(self, blob_id: bytes, length: int, uncompressed_length: int | None) -> None:
        """Add a blob behind all others."""
        self.ids += blob_id
        self.lengths.append(length)
        self.plains.append(uncompressed_length or 0)

    def rows(self) -> Iterator[Row]:
        """Yield what each PackedBlob holds, as a bare tuple."""
        columns = zip(split_ids(self.ids), self.offsets(), self.lengths, self.plains, strict=False)
        kind = self.type
        return ((kind, blob_id, offset, length, plain or None) for blob_id, offset, length, plain in columns)

    def offsets(self) -> Iterator[int]:
        """Yield where each blob starts, and then where the last one ends."""
        return accumulate(self.lengths, initial=0)

    def encode(self) -> bytes:
        """Return the plaintext of the pack's header. Raises ValueError if there is none that says this."""
        size = sum(self.lengths)
        if not self.lengths or size > MAX_PACK_BYTES:
            raise ValueError(f"a pack of {len(self)} blobs and {size} bytes cannot be described")
        kind = TYPES.index(self.type)
        compressed, uncompressed = COMPRESSED_ENTRY.pack, PLAIN_ENTRY.pack
        columns = zip(split_ids(self.ids), self.lengths, self.plains, strict=True)
        return b"".join(
            [
                compressed(kind + COMPRESSED, length, plain, blob_id)
                if plain
                else uncompressed(kind, length, blob_id)
                for blob_id, length, plain in columns
            ]
        )

    @classmethod
    def decode(cls, plaintext: bytes) -> BlobList:
        """Read what `encode` made. Raises Damaged for all else; packfile.parse_header reads any header."""
        if not plaintext or len(plaintext) > MAX_HEADER:
            raise Damaged(f"a pack header of {len(plaintext)} bytes cannot be")
        found = cls(TYPES[plaintext[0] & 1])
        try:
            found._take(plaintext)
        except struct.error as error:
            raise Damaged(f"a pack header is cut off after {len(found)} blobs") from error
        if min(found.lengths) < OVERHEAD or sum(found.lengths) > MAX_PACK_BYTES:
            raise Damaged("a pack header lists a blob shorter than any sealed one, or more than 4 GiB")
        return found

    def _take(self, plaintext: bytes) -> None:
        kind, position = TYPES.index(self.type), 0
        while position < len(plaintext):
            entry = plaintext[position]
            if entry == kind + COMPRESSED:
                _, length, plain, blob_id = COMPRESSED_ENTRY.unpack_from(plaintext, position)
                position += COMPRESSED_ENTRY.size
            elif entry == kind:
                _, length, blob_id = PLAIN_ENTRY.unpack_from(plaintext, position)
                plain = 0
                position += PLAIN_ENTRY.size
            else:
                raise Damaged(f"a pack header has an entry of type {entry} among those of type {kind}")
            self.append(blob_id, length, plain)
