"""Gather sealed blobs into one pack, in memory (restic-format.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from repository.crypto import MasterKey, seal, unseal
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.packfile import (
    BlobType,
    PackedBlob,
    encode_header,
    encode_trailer,
    pack_size,
    parse_header,
    read_trailer,
)

PACK_TARGET_BYTES = 16 * 1024 * 1024
# The header must stay below 16 MiB; long before that a pack of tiny blobs is large enough.
MAX_BLOBS = 100_000


@dataclass(frozen=True, slots=True)
class FinishedPack:
    """A pack as it is stored: its blob_id, its bytes, and what is in it."""

    id: bytes
    data: bytearray
    blobs: list[PackedBlob]


class Packer:
    """One pack being filled with blobs of one type."""

    def __init__(self, blob_type: BlobType, target_bytes: int = PACK_TARGET_BYTES) -> None:
        self.type: BlobType = blob_type
        self._target_bytes = target_bytes
        self._data = bytearray()
        self._blobs: list[PackedBlob] = []

    def add(self, blob_id: bytes, sealed: bytes, uncompressed_length: int | None) -> None:
        """Append one sealed blob."""
        self._blobs.append(PackedBlob(self.type, blob_id, len(self._data), len(sealed), uncompressed_length))
        self._data += sealed

    @property
    def empty(self) -> bool:
        """Tell whether nothing was added yet."""
        return not self._blobs

    @property
    def full(self) -> bool:
        """Tell whether the pack has reached its target; it may exceed it by one blob."""
        return len(self._data) >= self._target_bytes or len(self._blobs) >= MAX_BLOBS

    def finish(self, key: MasterKey) -> FinishedPack:
        """Append the header and return the pack. The packer must not be used any more.

        The header is parsed back before anyone stores it: raises Damaged if it does not say what was added.
        """
        header = seal(key, encode_header(self._blobs))
        self._data += header
        self._data += encode_trailer(header)
        if read_header(key, memoryview(self._data)) != self._blobs:
            raise Damaged("a pack header does not read back as it was written; nothing was stored")
        return FinishedPack(hash_bytes(self._data), self._data, self._blobs)


def read_header(key: MasterKey, pack: bytes | memoryview) -> list[PackedBlob]:
    """Return what the header of a whole pack lists. Raises Damaged, also if sizes do not fit."""
    length = read_trailer(bytes(pack[-4:]), len(pack))
    blobs = parse_header(unseal(key, pack[-(length + 4) : -4]))
    if pack_size(blobs) != len(pack):
        raise Damaged(f"its header describes {pack_size(blobs)} bytes, but the pack has {len(pack)}")
    return blobs
