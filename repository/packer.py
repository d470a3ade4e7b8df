"""Gather sealed blobs into one pack, in memory (restic-format.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from repository.bloblist import BlobList
from repository.crypto import MasterKey, authenticate_all, seal, unseal
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.packfile import (
    TRAILER_BYTES,
    BlobType,
    PackedBlob,
    encode_trailer,
    pack_size,
    parse_header,
    read_trailer,
)
from repository.shared_buffer import SharedBuffer

PACK_TARGET_BYTES = 16 * 1024 * 1024
# The header must stay below 16 MiB; long before that a pack of tiny blobs is large enough.
MAX_BLOBS = 100_000


@dataclass(frozen=True, slots=True)
class FinishedPack:
    """A pack as it is stored: its id, its bytes, and what is in it. The bytes may be a view of `buffer`."""

    id: bytes
    data: bytes | memoryview
    blobs: BlobList
    buffer: SharedBuffer | None = None


class Packer:
    """One pack being filled with blobs of one type, in an empty `buffer` or one of its own."""

    def __init__(
        self,
        blob_type: BlobType,
        target_bytes: int = PACK_TARGET_BYTES,
        buffer: SharedBuffer | None = None,
    ) -> None:
        self.type: BlobType = blob_type
        self._target_bytes = target_bytes
        self._buffer = buffer
        self._size = 0
        self._blobs = BlobList(blob_type)

    def add(self, blob_id: bytes, sealed: bytes, uncompressed_length: int | None) -> None:
        """Append one sealed blob."""
        if self._buffer is None:
            self._buffer = SharedBuffer()
        self._blobs.append(blob_id, len(sealed), uncompressed_length)
        self._buffer.append(sealed)
        self._size += len(sealed)

    @property
    def empty(self) -> bool:
        """Tell whether nothing was added yet."""
        return not self._blobs

    @property
    def full(self) -> bool:
        """Tell whether the pack has reached its target; it may exceed it by one blob."""
        return self._size >= self._target_bytes or len(self._blobs) >= MAX_BLOBS

    def finish(self, key: MasterKey) -> FinishedPack:
        """Append the header and return the pack. The packer must not be used any more.

        Before anyone stores it, its header is parsed back and each blob's tag is checked: raises Damaged if
        they are not what was added.
        """
        header = seal(key, self._blobs.encode())
        buffer = self._buffer or SharedBuffer()
        buffer.append(header + encode_trailer(header))
        data = buffer.view()
        listed = BlobList.decode(_open_header(key, data))
        if listed != self._blobs or sum(listed.lengths) + len(header) + TRAILER_BYTES != len(data):
            raise Damaged("a pack header does not read back as it was written; nothing was stored")
        pack_id = hash_bytes(data)
        self._check_blobs(key, data)  # after hashing: what changes before either is noticed
        return FinishedPack(pack_id, data, self._blobs, buffer)

    def _check_blobs(self, key: MasterKey, data: memoryview) -> None:
        try:
            authenticate_all(key, data, self._blobs.offsets())
        except Damaged as error:
            raise Damaged(
                "a pack is not what was put into it, and was not stored; check this machine's memory"
            ) from error


def read_header(key: MasterKey, pack: bytes | memoryview) -> list[PackedBlob]:
    """Return what the header of a whole pack lists. Raises Damaged, also if sizes do not fit."""
    blobs = parse_header(_open_header(key, pack))
    if pack_size(blobs) != len(pack):
        raise Damaged(f"its header describes {pack_size(blobs)} bytes, but the pack has {len(pack)}")
    return blobs


def _open_header(key: MasterKey, pack: bytes | memoryview) -> bytes:
    """Return the plaintext of the header of a whole pack. Raises Damaged."""
    length = read_trailer(bytes(pack[-4:]), len(pack))
    return unseal(key, pack[-(length + 4) : -4])
