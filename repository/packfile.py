"""The header at the end of a pack (restic-format.md, section 6)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from repository.crypto import OVERHEAD
from repository.errors import Damaged

BlobType = Literal["data", "tree"]

TRAILER_BYTES = 4
PLAIN_ENTRY_BYTES = 37
COMPRESSED_ENTRY_BYTES = 41
MAX_HEADER = 16 * 1024 * 1024  # sealed, without the trailer
MIN_PACK_BYTES = PLAIN_ENTRY_BYTES + OVERHEAD + TRAILER_BYTES
MAX_PACK_BYTES = 2**32 - 1
# Enough for the header of 15 compressed blobs in one request.
HEADER_PROBE_BYTES = 15 * COMPRESSED_ENTRY_BYTES + OVERHEAD + TRAILER_BYTES

PLAIN_ENTRY = struct.Struct("<BI32s")
COMPRESSED_ENTRY = struct.Struct("<BII32s")
COMPRESSED = 2  # what that number is more if the blob is compressed
_TRAILER = struct.Struct("<I")
TYPES: tuple[BlobType, ...] = ("data", "tree")  # by the number that an entry starts with


class PackedBlob(NamedTuple):
    """Where a blob lies in its pack. `length` is as stored; no `uncompressed_length`: not compressed."""

    type: BlobType
    id: bytes
    offset: int
    length: int
    uncompressed_length: int | None = None

    @property
    def plain_length(self) -> int:
        """The length of the blob's content."""
        return self.length - OVERHEAD if self.uncompressed_length is None else self.uncompressed_length


def encode_header(blobs: Sequence[PackedBlob]) -> bytes:
    """Return the header's plaintext. The blobs must be contiguous from offset 0, in this order."""
    entries, offset = [], 0
    for blob in blobs:
        if blob.offset != offset:
            raise ValueError(f"blob at offset {blob.offset} where {offset} is next: a pack has no gaps")
        offset += blob.length
        entries.append(_encode_entry(blob))
    if not entries or offset > MAX_PACK_BYTES:
        raise ValueError(f"a pack of {len(entries)} blobs and {offset} bytes cannot be described")
    return b"".join(entries)


def parse_header(plaintext: bytes) -> list[PackedBlob]:
    """Return the blobs of a pack in the order they lie in it. Raises Damaged."""
    if not plaintext or len(plaintext) > MAX_HEADER:
        raise Damaged(f"a pack header of {len(plaintext)} bytes cannot be")
    blobs: list[PackedBlob] = []
    position = offset = 0
    while position < len(plaintext):
        blob, size = _parse_entry(plaintext, position, offset)
        blobs.append(blob)
        position += size
        offset += blob.length
    if offset > MAX_PACK_BYTES:
        raise Damaged("a pack header describes more than 4 GiB")
    return blobs


def header_size(blobs: Iterable[PackedBlob]) -> int:
    """Return the bytes that follow the blobs in their pack: the sealed header and the trailer."""
    sizes = (PLAIN_ENTRY_BYTES if b.uncompressed_length is None else COMPRESSED_ENTRY_BYTES for b in blobs)
    return sum(sizes) + OVERHEAD + TRAILER_BYTES


def pack_size(blobs: Sequence[PackedBlob]) -> int:
    """Return the size of the file that holds exactly these blobs."""
    return sum(blob.length for blob in blobs) + header_size(blobs)


def encode_trailer(sealed_header: bytes) -> bytes:
    """Return the last four bytes of a pack."""
    if len(sealed_header) > MAX_HEADER:
        raise ValueError(f"a pack header of {len(sealed_header)} bytes is more than any reader takes")
    return _TRAILER.pack(len(sealed_header))


def read_trailer(tail: bytes, pack_bytes: int) -> int:
    """Return the length of the sealed header, from the last bytes of a pack and its size. Raises Damaged.

    The sealed header is `tail[-(length + 4):-4]`; if `tail` is shorter than that, read again.
    """
    if pack_bytes < MIN_PACK_BYTES or len(tail) < TRAILER_BYTES:
        raise Damaged(f"a pack of {pack_bytes} bytes is too short to be one")
    (length,) = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    if not PLAIN_ENTRY_BYTES + OVERHEAD <= length <= min(MAX_HEADER, pack_bytes - TRAILER_BYTES):
        raise Damaged(f"a pack of {pack_bytes} bytes says its header is {length} bytes long, which cannot be")
    return int(length)


def _encode_entry(blob: PackedBlob) -> bytes:
    kind = TYPES.index(blob.type)
    if blob.uncompressed_length is None:
        return PLAIN_ENTRY.pack(kind, blob.length, blob.id)
    return COMPRESSED_ENTRY.pack(kind + COMPRESSED, blob.length, blob.uncompressed_length, blob.id)


def _parse_entry(plaintext: bytes, position: int, offset: int) -> tuple[PackedBlob, int]:
    kind = plaintext[position]
    layout = PLAIN_ENTRY if kind < 2 else COMPRESSED_ENTRY
    if kind > 3 or len(plaintext) - position < layout.size:
        raise Damaged(f"a pack header has an entry of unknown type {kind}, or is cut off, at byte {position}")
    _, length, *uncompressed, blob_id = layout.unpack_from(plaintext, position)
    if length < OVERHEAD:
        raise Damaged(f"a pack header lists a blob of {length} bytes, shorter than any sealed blob")
    blob = PackedBlob(TYPES[kind & 1], blob_id, offset, length, uncompressed[0] if uncompressed else None)
    return blob, layout.size
