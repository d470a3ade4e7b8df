"""Make of a blob's content the bytes that a pack holds, and the other way around."""

from __future__ import annotations

from dataclasses import dataclass

from repository.compression import Mode, compress_blob, decompress_blob
from repository.crypto import MasterKey, decrypt, seal, unseal
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.packfile import BlobType


def open_sealed(
    key: MasterKey, blob_id: bytes, sealed: bytes | memoryview, uncompressed_length: int | None
) -> bytes:
    """Return the content of a sealed blob. Raises Damaged if it was altered, or is another one."""
    plain = unseal(key, sealed)
    if uncompressed_length is not None:
        plain = decompress_blob(plain, uncompressed_length)
    if hash_bytes(plain) != blob_id:
        raise Damaged("the content of a blob does not fit its id")
    return plain


@dataclass(frozen=True, slots=True)
class BlobSealer:
    """How the blobs of one repository are sealed. Safe for several threads, and may be pickled."""

    key: MasterKey
    version: int
    compression: Mode = "auto"
    self_check: bool = True

    def seal(self, blob_type: BlobType, data: bytes | memoryview) -> tuple[bytes, int | None]:
        """Return the sealed blob, and the length of `data` if it was compressed. Raises Damaged."""
        frame = self._compress(blob_type, data)
        sealed = seal(self.key, data if frame is None else frame)
        if self.self_check:
            self._check(sealed, data, compressed=frame is not None)
        return sealed, None if frame is None else len(data)

    def seal_frame(self, frame: bytes) -> bytes:
        """Return a frame sealed that is compressed already. Raises Damaged."""
        sealed = seal(self.key, frame)
        if self.self_check:
            self._check(sealed, frame, compressed=False)
        return sealed

    def _compress(self, blob_type: BlobType, data: bytes | memoryview) -> bytes | None:
        """Return the frame to store, or None to store the data as it is.

        Tree blobs are compressed in every mode, as restic has it: it would repack others at the next prune.
        """
        if self.version < 2:
            return None
        if blob_type == "tree":
            return compress_blob(data, "auto" if self.compression == "off" else self.compression, always=True)
        return compress_blob(data, self.compression)

    def _check(self, sealed: bytes, data: bytes | memoryview, *, compressed: bool) -> None:
        """Open what was just sealed: bad memory and library faults are found while the data is still here.

        Its tag is checked when it lies in its pack, which finds what happened to it there, too.
        """
        plain = decrypt(self.key, sealed)
        if compressed:
            plain = decompress_blob(plain, len(data))
        # Not `!=`: that looks at a view byte by byte, thirty times as slow.
        if len(plain) != len(data) or not plain.startswith(data):
            raise Damaged("a blob does not read back as it was written; check this machine's memory")
