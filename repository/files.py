"""The small files of a repository (index, snapshots, locks): one sealed JSON document each, named by hash."""

from __future__ import annotations

import logging
import os
import pwd
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from repository.cache import MetadataCache
from repository.compression import decode_unpacked, encode_unpacked
from repository.crypto import MasterKey, seal, unseal
from repository.errors import Damaged
from repository.ids import hash_bytes, is_hex_id, parse_id
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError

FileKind = Literal["index", "snapshots", "locks", "keys"]

# Small files are fetched side by side: on a remote storage each waits for a round trip.
LOADERS = 8

logger = logging.getLogger(__name__)


class StoredFile(NamedTuple):
    """A file of the repository as a listing shows it."""

    id: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileStore:
    """Load and save sealed JSON documents of one repository.

    From the cache come only files that stood in the last listing.
    """

    storage: StorageAdapter
    key: MasterKey
    version: int
    cache: MetadataCache | None = None
    _listed: dict[FileKind, frozenset[bytes]] = field(default_factory=dict, compare=False, repr=False)

    def list(self, kind: FileKind) -> list[StoredFile]:
        """Return the files of this kind, by id. Names that are no ids (leftovers) are ignored."""
        files = sorted(list_files(self.storage, kind))
        if self.cache is not None and (kind == "index" or kind == "snapshots"):
            self._listed[kind] = frozenset(file.id for file in files)
            self.cache.keep_only(kind, self._listed[kind])
        return files

    def load(self, kind: FileKind, file_id: bytes) -> bytes:
        """Return the JSON text of a file.

        Raises ObjectNotFound; Damaged, naming the file, if its bytes are not what its name says.
        """
        name = f"{kind}/{file_id.hex()}"
        data = self._load_cached(kind, file_id) or read_named(self.storage, name, file_id)
        if hash_bytes(data) != file_id:
            raise Damaged(f"the file {name} is damaged: its content does not fit its name")
        try:
            return decode_unpacked(unseal(self.key, data), self.version)
        except Damaged as error:
            raise Damaged(f"the file {name} is damaged: {error}") from error

    def _load_cached(self, kind: FileKind, file_id: bytes) -> bytes | None:
        """Return a file's bytes, by way of the cache; None if that is not for this one."""
        if self.cache is None or (kind != "index" and kind != "snapshots"):
            return None
        if file_id not in self._listed.get(kind, ()):
            return None
        data = self.cache.get(kind, file_id)
        if data is None or hash_bytes(data) != file_id:
            data = read_named(self.storage, f"{kind}/{file_id.hex()}", file_id)
            if hash_bytes(data) == file_id:
                self.cache.put(kind, file_id, data)
        return data

    def save(self, kind: FileKind, json: bytes) -> StoredFile:
        """Seal and store a document; return its id and size as stored.

        When it raises, nothing is stored, as far as the storage allows: also where that kept a part, with an
        error or without.
        """
        data = seal(self.key, encode_unpacked(json, self.version))
        if decode_unpacked(unseal(self.key, data), self.version) != json:
            raise Damaged(f"a {kind} file does not read back as it was written; check this machine's memory")
        file_id = hash_bytes(data)
        name = f"{kind}/{file_id.hex()}"
        try:
            self.storage.put(name, data)
            self._require_kept(name, len(data))
        except (StorageError, Damaged):
            # A part of an index or a snapshot would keep everybody out.
            self._discard(name)
            raise
        if self.cache is not None and (kind == "index" or kind == "snapshots"):
            self.cache.put(kind, file_id, data)  # the next run wants it
        return StoredFile(file_id, len(data))

    def _require_kept(self, name: str, size_bytes: int) -> None:
        kept = self.storage.stat(name).size_bytes
        if kept != size_bytes:
            raise Damaged(
                f"the storage took {size_bytes} bytes as {name} but kept {kept}; nothing relies on it"
            )

    def _discard(self, name: str) -> None:
        try:
            self.storage.delete(name)
        except StorageError as error:
            logger.warning("%s was not stored well and could not be removed: %s", name, error)

    def remove(self, kind: FileKind, file_id: bytes) -> None:
        """Delete a file; a missing one is done."""
        self.storage.delete(f"{kind}/{file_id.hex()}")


def read_named(storage: StorageAdapter, name: str, file_id: bytes) -> bytes:
    """Return a file that is named by its hash, whatever is in it: the caller checks.

    What does not fit the name is read once more: over plain HTTP only we notice that an answer was altered.
    """
    data = storage.get(name)
    return data if hash_bytes(data) == file_id else storage.get(name)


def list_files(storage: StorageAdapter, kind: FileKind) -> Iterator[StoredFile]:
    """Yield the files of one kind as they are listed; no key is needed for that."""
    prefix = kind + "/"
    for found in storage.list(prefix):
        name = found.key[len(prefix) :]
        if is_hex_id(name):
            yield StoredFile(parse_id(name), found.size_bytes)


def pack_key(file_id: bytes) -> str:
    """Return the storage key of a pack."""
    name = file_id.hex()
    return f"data/{name[:2]}/{name}"


def list_packs(storage: StorageAdapter) -> dict[bytes, int]:
    """Return id -> size of every pack that is stored where it belongs."""
    packs = {}
    for found in storage.list("data/"):
        name = found.key.rpartition("/")[2]
        if is_hex_id(name) and found.key == pack_key(parse_id(name)):
            packs[parse_id(name)] = found.size_bytes
    return packs


def local_identity() -> tuple[str, str]:
    """Return (hostname, username) of this process, as keys, locks and snapshots name them."""
    try:
        username = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container with a bare uid
        username = str(os.getuid())
    return socket.gethostname(), username
