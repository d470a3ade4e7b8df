"""Copy snapshots to another repository (restic-format.md, section 15). Nothing is decrypted to disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from repository.commit import commit_snapshot
from repository.errors import BlobNotFound, Damaged, SourceSpoilt
from repository.index import Location
from repository.locks import Lock
from repository.lost_packs import LostPack, drop_lost_packs
from repository.packfile import BlobType
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found
from repository.transfer import Transfer, Wanted
from repository.tree import Node
from repository.used import walk_trees
from repository.writer import INDEX_MAX_AGE_S, WriteOptions
from storage_adapters.base import is_far

# After so much the index is saved: a copy that is cut off goes on from there.
_BATCH_BYTES = 256 * 1024 * 1024
_BATCH_BLOBS = 20_000
# Far away that takes long: there the index is saved also in the middle of a batch, this often.
_FAR_INDEX_AGE_S = 60.0

logger = logging.getLogger(__name__)

OnStored = Callable[[bytes, bytes, int], None]


@dataclass(slots=True)
class CopyResult:
    """What a copy did, as (id in the source, id in the destination); `skipped` were there before.

    `lost_packs` are those that the destination had lost before; what these snapshots need of them is stored
    anew.
    """

    copied: list[tuple[bytes, bytes]] = field(default_factory=list)
    skipped: list[tuple[bytes, bytes]] = field(default_factory=list)
    blobs_added: int = 0
    bytes_added: int = 0  # as stored
    lost_packs: list[LostPack] = field(default_factory=list)


def copy(
    source: Repository,
    destination: Repository,
    snapshot_ids: Sequence[bytes],
    locks: tuple[Lock, Lock],
    progress: ProgressCallback = ignore_progress,
    on_stored: OnStored = lambda snapshot_id, new_id, bytes_added: None,
) -> CopyResult:
    """Copy these snapshots, in this order, under a lock on each repository that the caller holds (shared).

    A snapshot that the destination has already is skipped, and so is every blob, unless the storage has lost
    its pack: the packs are listed first. `on_stored` is called after
    each, with its id in the source and in the destination and the stored bytes it added. Raises
    SnapshotNotFound and SourceSpoilt, which are about the source; Damaged, BlobNotFound, which are about the
    destination; LockLost, StorageError, and Cancelled from `progress` (called
    from several threads, also before each write): snapshots copied before are there then, and the next run
    goes on from what was stored.
    """
    with _reading_source():
        wanted = [(each, source.load_snapshot(each)) for each in snapshot_ids]
    known = _Known(
        destination.list_snapshots(lambda damaged, error: logger.warning("not compared: %s", error))
    )
    with _reading_source():
        source.load_index()
    destination.load_index()
    run = _Run(source, destination, locks, progress)
    run.result.lost_packs = drop_lost_packs(destination)
    for pack in run.result.lost_packs:
        logger.warning("the destination lost data, which is not relied on: %s", pack)
    try:
        for snapshot_id, snapshot in wanted:
            twin = known.find(snapshot_id, snapshot)
            if twin is not None:
                run.result.skipped.append((snapshot_id, twin))
                on_stored(snapshot_id, twin, 0)
                continue
            before = run.result.bytes_added
            copied = replace(snapshot, parent=None, original=snapshot.original or snapshot_id)
            new_id = run.copy_snapshot(copied)
            known.add(new_id, copied)
            run.result.copied.append((snapshot_id, new_id))
            on_stored(snapshot_id, new_id, run.result.bytes_added - before)
    finally:
        destination.stop_writing()
    return run.result


@contextmanager
def _reading_source() -> Iterator[None]:
    """Let damage be told as that of the source."""
    try:
        yield
    except (Damaged, BlobNotFound) as error:
        raise SourceSpoilt(str(error)) from error


class _Transfer(Transfer):
    def load(self, blob_type: BlobType, blob_id: bytes) -> bytes:
        with _reading_source():
            return super().load(blob_type, blob_id)


class _Known:
    """The snapshots of the destination by the id that their first version had."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._by_original: dict[bytes, list[Found]] = {}
        for each in found:
            self.add(*each)

    def add(self, snapshot_id: bytes, snapshot: Snapshot) -> None:
        self._by_original.setdefault(snapshot.original or snapshot_id, []).append((snapshot_id, snapshot))

    def find(self, snapshot_id: bytes, snapshot: Snapshot) -> bytes | None:
        """Return the id of a copy of this snapshot."""
        candidates = self._by_original.get(snapshot.original or snapshot_id, ())
        return next((known_id for known_id, known in candidates if _is_copy(known, snapshot)), None)


def _is_copy(one: Snapshot, other: Snapshot) -> bool:
    """Tell whether all is equal but parent, original and what a restic that copied may have dropped."""

    def facts(each: Snapshot) -> tuple[object, ...]:
        who = (each.hostname, each.username, each.uid, each.gid)
        return each.time_ns, each.tree, who, each.paths, each.tags, each.excludes

    return facts(one) == facts(other)


class _Run:
    def __init__(
        self,
        source: Repository,
        destination: Repository,
        locks: tuple[Lock, Lock],
        progress: ProgressCallback,
    ) -> None:
        self._source = source
        self._destination = destination
        self._locks = locks
        self._progress = progress
        self._seen: set[bytes] = set()  # trees that are in the destination with all below them
        self._trees = 0
        self._bytes_read = 0
        self.result = CopyResult()

    def copy_snapshot(self, snapshot: Snapshot) -> bytes:
        """Copy what a snapshot needs, then store it; return its new id."""
        far = is_far(self._destination.storage)
        writer = self._destination.start_writing(
            WriteOptions(
                compression=self._destination.compression,
                guard=self._guard,
                index_max_age_s=_FAR_INDEX_AGE_S if far else INDEX_MAX_AGE_S,
            )
        )
        transfer = _Transfer(self._source, writer, self._destination.config.version, self._count)
        for batch in self._batches(snapshot.tree):
            transfer.run(batch)
            self.result.blobs_added += sum(len(places) for _, places in batch)
            writer.flush()
        self._tell()  # the last moment to be cancelled
        return commit_snapshot(self._destination, snapshot, *self._locks)

    def _batches(self, root: bytes) -> Iterator[list[Wanted]]:
        """Yield what the destination lacks, in parts that are stored one after the other."""
        batch = _Batch()
        for tree, nodes in self._walk(root):
            self._trees += 1
            self._want(batch, "tree", tree)
            for blob in _contents(nodes):
                self._want(batch, "data", blob)
                if batch.full:
                    yield batch.take()
        yield batch.take()

    def _walk(self, root: bytes) -> Iterator[tuple[bytes, list[Node]]]:
        with _reading_source():
            yield from walk_trees(self._source, [root], self._is_new)

    def _is_new(self, tree: bytes) -> bool:
        if tree in self._seen:
            return False
        self._seen.add(tree)
        return True

    def _want(self, batch: _Batch, blob_type: BlobType, blob_id: bytes) -> None:
        if self._destination.index.has(blob_type, blob_id) or batch.has(blob_type, blob_id):
            return
        places = self._source.index.lookup(blob_type, blob_id)
        if not places:
            raise SourceSpoilt(
                f"the {blob_type} blob {blob_id.hex()} is in no index file of the source, so the snapshot "
                "cannot be copied; run check there"
            )
        batch.add(blob_type, blob_id, places[0])

    def _guard(self) -> None:
        """Before each write, in the threads that upload: a whole batch may be on its way."""
        for lock in self._locks:
            lock.check()
        self._tell()

    def _count(self, stored_bytes: int) -> None:
        self.result.bytes_added += stored_bytes
        self._tell()

    def _tell(self) -> None:
        self._progress(Progress("copying", self._trees, bytes_added=self.result.bytes_added))


class _Batch:
    """Blobs to be copied, with where they are."""

    def __init__(self) -> None:
        self._places: dict[BlobType, dict[bytes, Location]] = {"data": {}, "tree": {}}
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Tell whether it is time to store this."""
        return self._bytes >= _BATCH_BYTES or sum(map(len, self._places.values())) >= _BATCH_BLOBS

    def has(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the blob is in the batch."""
        return blob_id in self._places[blob_type]

    def add(self, blob_type: BlobType, blob_id: bytes, place: Location) -> None:
        """Take in a blob."""
        self._places[blob_type][blob_id] = place
        self._bytes += place.length

    def take(self) -> list[Wanted]:
        """Return what was collected, and begin anew."""
        taken = list(self._places.items())
        self._places, self._bytes = {"data": {}, "tree": {}}, 0
        return taken


def _contents(nodes: Sequence[Node]) -> Iterator[bytes]:
    for node in nodes:
        yield from node.content or ()
