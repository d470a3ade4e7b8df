"""Open a repository; load and save its blobs and snapshots."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress

from repository import indexload, keys, snapshots
from repository.cache import KINDS as CACHED_KINDS
from repository.cache import LISTED, CachedKind, MetadataCache
from repository.compression import Mode
from repository.config import RepositoryConfig, new_config
from repository.crypto import MasterKey, new_master_key, seal, unseal
from repository.errors import BlobNotFound, Damaged, NoRepository
from repository.files import FileStore, pack_key
from repository.index import Index, Location
from repository.indexfile import IndexFile
from repository.keyfile import DEFAULT_KDF, KdfParams
from repository.packfile import BlobType
from repository.sealing import open_sealed
from repository.snapshot import Snapshot
from repository.tree_packs import TreePacks
from repository.writer import BlobWriter, SavedBlob, WriteOptions
from storage_adapters.base import StorageAdapter, is_far
from storage_adapters.errors import ObjectNotFound, ObjectTruncated

# Trees are many and small: taking each from a folder of the cache is slower than from a disk.
_CACHED_OF_NEAR: tuple[CachedKind, ...] = ("index", "snapshots")


class Repository:
    """A repository of restic's format on a storage. Loading and saving blobs is safe in several threads."""

    def __init__(
        self,
        storage: StorageAdapter,
        key: MasterKey,
        config: RepositoryConfig,
        compression: Mode = "auto",
        cache: MetadataCache | None = None,
    ) -> None:
        self.storage = storage
        self.key = key
        self.key_id = b""  # the key file that was opened; unknown where only the master key was given
        self.config = config
        self.id = config.id
        self.compression: Mode = compression
        self.files = FileStore(storage, key, config.version, cache)
        self.index = Index()
        self._tree_packs = TreePacks(storage, cache) if is_far(storage) else None
        self._writer: BlobWriter | None = None

    @classmethod
    def init(
        cls,
        storage: StorageAdapter,
        password: str,
        *,
        kdf: KdfParams = DEFAULT_KDF,
        chunker_polynomial: str | None = None,
        compression: Mode = "auto",
    ) -> Repository:
        """Make a new repository. Raises RepositoryExists where one, or a part of one, already is.

        The config is written last: until then there is no repository.
        """
        keys.require_vacant(storage)
        master, config = new_master_key(), new_config(chunker_polynomial)
        key_id = keys.add_key(storage, master, password, kdf)
        storage.put("config", seal(master, config.encode()))
        repo = cls(storage, master, config, compression)
        repo.key_id = key_id
        return repo

    @classmethod
    def open(
        cls,
        storage: StorageAdapter,
        password: str | keys.KeySearch,
        *,
        compression: Mode = "auto",
        cache_folder: str | None = None,
        cached: Collection[CachedKind] | None = None,
    ) -> Repository:
        """Open with a password, or with a search for the key that was begun with it. Loads no index yet.

        Raises NoRepository, WrongPassword, Damaged.

        With a `cache_folder`, which may be of several repositories, metadata of the kinds in `cached` is kept
        there; None: of those that pay off for the storage. Not for whoever wants to know what the storage
        holds: it may hold less than the cache.
        """
        sealed = _load_config(storage)
        if isinstance(password, keys.KeySearch):
            key_id, master = password.result()
        else:
            key_id, master = keys.find_key(storage, password)
        config = _open_config(storage, master, sealed)
        folder = os.path.join(cache_folder, config.id) if cache_folder else None
        kinds = cached or (CACHED_KINDS if is_far(storage) else _CACHED_OF_NEAR)
        cache = MetadataCache(folder, kinds=kinds) if folder else None
        repo = cls(storage, master, config, compression, cache)
        repo.key_id = key_id
        return repo

    def load_index(self) -> None:
        """Load all index files, in place of whatever was loaded before. Raises Damaged, naming the file."""
        index = indexload.load_index(self.files)
        self.stop_writing()
        self.index = index

    def load_index_file(self, file_id: bytes) -> IndexFile:
        """Return one index file. Raises ObjectNotFound, Damaged."""
        return indexload.load_file(self.files, file_id)

    def load_blob(self, blob_type: BlobType, blob_id: bytes) -> bytes:
        """Return a blob's content, checked against its id; if one place is damaged the next is tried.

        If all are, each is read once more: what was altered on its way may come whole the second time.
        Raises BlobNotFound, or Damaged naming the packs.
        """
        locations = self.index.lookup(blob_type, blob_id)
        if not locations:
            raise BlobNotFound(f"the {blob_type} blob {blob_id.hex()} is in no index file")
        is_single = blob_type == "tree" and not self._has_whole(locations[0])
        cached = self._load_cached(blob_id, locations[0]) if is_single else None
        if cached is not None:
            return cached
        reasons: dict[bytes, str] = {}
        for location in (*locations, *locations):
            try:
                sealed = self._read(blob_type, location, again=location.pack in reasons)
                plain = self.open_blob(blob_id, sealed, location)
            except ObjectNotFound:
                reasons[location.pack] = f"pack {location.pack.hex()} is missing"
                self._doubt_packs()
            except (Damaged, ObjectTruncated) as error:
                reasons[location.pack] = f"pack {location.pack.hex()}: {error}"
            else:
                if is_single and location is locations[0] and not self._has_whole(location):
                    self._keep_tree(blob_id, sealed)
                return plain
        kind = BlobNotFound if all(reason.endswith("is missing") for reason in reasons.values()) else Damaged
        raise kind(f"the {blob_type} blob {blob_id.hex()} cannot be read: {'; '.join(reasons.values())}")

    def _has_whole(self, location: Location) -> bool:
        """Tell whether the pack of trees at a location is in memory: single trees of it need no cache."""
        return self._tree_packs is not None and self._tree_packs.holds(location.pack)

    def _doubt_packs(self) -> None:
        """See that the next backup asks the storage for all packs."""
        if self.files.cache is not None:
            self.files.cache.drop_note(LISTED)

    def _keep_tree(self, tree_id: bytes, sealed: bytes) -> None:
        if self.files.cache is not None:
            self.files.cache.put("trees", tree_id, sealed)

    def _read(self, blob_type: BlobType, location: Location, *, again: bool) -> bytes:
        """Return the sealed bytes at a place; `again`: what was read of it before may have been altered."""
        if blob_type == "tree" and self._tree_packs is not None:
            if not again:
                return self._tree_packs.get(location)
            self._tree_packs.drop(location.pack)
        return self.storage.get(pack_key(location.pack), location.offset, location.length)

    def _load_cached(self, tree_id: bytes, location: Location) -> bytes | None:
        """Return a tree from the cache; it holds what is, or was, at the first location of the blob."""
        cache = self.files.cache
        sealed = cache.get("trees", tree_id) if cache is not None else None
        if cache is None or sealed is None:
            return None
        try:
            return self.open_blob(tree_id, sealed, location)
        except Damaged:
            cache.drop("trees", tree_id)  # it will be fetched from the storage
            return None

    def open_blob(self, blob_id: bytes, sealed: bytes | memoryview, location: Location) -> bytes:
        """Return the content of the sealed bytes read from `location`. Raises Damaged if it is another."""
        return open_sealed(self.key, blob_id, sealed, location.uncompressed_length)

    def start_writing(self, options: WriteOptions) -> BlobWriter:
        """Begin to write with these options; drops what was saved before and not flushed."""
        self.stop_writing()
        self._writer = BlobWriter(self.files, self.key, self.index, options)
        return self._writer

    def stop_writing(self) -> None:
        """Drop blobs that were saved and not flushed, and end the upload threads."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()

    def save_blob(self, blob_type: BlobType, data: bytes | memoryview) -> SavedBlob:
        """Store a blob unless it is known; returns (id, is_new, stored_bytes)."""
        return self._writing().save(blob_type, data)

    def flush(self) -> None:
        """Store open packs, then the index: every blob saved before is durable when this returns."""
        self._writing().flush()

    def _writing(self) -> BlobWriter:
        return self._writer or self.start_writing(WriteOptions(compression=self.compression))

    def list_snapshots(self, on_damaged: snapshots.OnDamaged | None = None) -> list[snapshots.Found]:
        """Return all snapshots, oldest first; see snapshots.list_all."""
        return snapshots.list_all(self.files, on_damaged)

    def load_snapshot(self, snapshot_id: bytes) -> Snapshot:
        """Return one snapshot. Raises SnapshotNotFound, Damaged."""
        return snapshots.load(self.files, snapshot_id)

    def find_snapshot(
        self,
        wanted: str,
        *,
        hostname: str | None = None,
        paths: Sequence[str] = (),
        tags: Sequence[str] = (),
    ) -> snapshots.Found:
        """Return the snapshot meant by a prefix of its hex id or by "latest"; see snapshots.find."""
        return snapshots.find(self.files, wanted, hostname, paths, tags)

    def save_snapshot(self, snapshot: Snapshot) -> bytes:
        """Store a snapshot; everything that it refers to must be durable already. Returns its id."""
        return self.files.save("snapshots", snapshot.encode()).id

    def remove_snapshot(self, snapshot_id: bytes) -> None:
        """Delete a snapshot file; its data stays until a prune. A missing one is done."""
        self.files.remove("snapshots", snapshot_id)

    def close(self) -> None:
        """Drop unflushed blobs and release the storage."""
        self.stop_writing()
        if self.files.cache is not None and len(self.index):
            self.files.cache.make_room(lambda tree: self.index.has("tree", tree))
        self.storage.close()


def _open_config(storage: StorageAdapter, master: MasterKey, sealed: bytes) -> RepositoryConfig:
    """Return what is in the config; one that does not open is read once more, as files.read_named does."""
    with suppress(Damaged):
        return RepositoryConfig.decode(unseal(master, sealed))
    try:
        return RepositoryConfig.decode(unseal(master, _load_config(storage)))
    except Damaged as error:
        raise Damaged(f"the file config is damaged: {error}") from error


def _load_config(storage: StorageAdapter) -> bytes:
    try:
        sealed = storage.get("config")
    except ObjectNotFound as error:
        raise NoRepository("there is no repository here (no file named config)") from error
    if not sealed:
        raise Damaged(
            "the file config is empty: this repository was not initialised to the end, or is damaged"
        )
    return sealed
