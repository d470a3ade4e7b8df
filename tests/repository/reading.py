"""Read a repository folder with the codecs alone, as plainly as possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repository.compression import decode_unpacked, decompress_blob
from repository.config import RepositoryConfig
from repository.crypto import MasterKey, unseal
from repository.ids import hash_bytes
from repository.keyfile import open_key_file
from repository.packfile import (
    HEADER_PROBE_BYTES,
    TRAILER_BYTES,
    PackedBlob,
    pack_size,
    parse_header,
    read_trailer,
)


@dataclass
class Folder:
    """A repository on disk, opened."""

    path: Path
    key: MasterKey
    config: RepositoryConfig

    @classmethod
    def open(cls, path: Path, password: str) -> Folder:
        (key_file,) = (path / "keys").iterdir()
        key = open_key_file(key_file.read_bytes(), password)
        return cls(path, key, RepositoryConfig.decode(unseal(key, (path / "config").read_bytes())))

    def unpacked(self, kind: str) -> Iterator[bytes]:
        """Yield the JSON texts of one kind of files, hash checked."""
        for file in sorted((self.path / kind).iterdir()):
            stored = file.read_bytes()
            assert hash_bytes(stored).hex() == file.name
            yield decode_unpacked(unseal(self.key, stored), self.config.version)

    def packs(self) -> Iterator[tuple[bytes, bytes, list[PackedBlob]]]:
        """Yield id, content and blobs of each pack, from its own header."""
        for file in sorted((self.path / "data").glob("??/*")):
            stored = file.read_bytes()
            assert hash_bytes(stored).hex() == file.name
            length = read_trailer(stored[-HEADER_PROBE_BYTES:], len(stored))
            blobs = parse_header(unseal(self.key, stored[-length - TRAILER_BYTES : -TRAILER_BYTES]))
            assert pack_size(blobs) == len(stored)
            yield bytes.fromhex(file.name), stored, blobs

    def blobs(self) -> Iterator[tuple[PackedBlob, bytes, bytes]]:
        """Yield each blob, what is under its seal, and its content, hash checked."""
        for _, stored, blobs in self.packs():
            for blob in blobs:
                inner = unseal(self.key, stored[blob.offset : blob.offset + blob.length])
                plain = inner
                if blob.uncompressed_length is not None:
                    plain = decompress_blob(inner, blob.uncompressed_length)
                assert hash_bytes(plain) == blob.id
                assert len(plain) == blob.plain_length
                yield blob, inner, plain
