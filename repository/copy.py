"""Copy snapshots to another repository (restic-format.md, section 15). Nothing is decrypted to disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from repository.commit import commit_snapshot
from repository.copy_plan import CopyPlan, Part
from repository.errors import BlobNotFound, Damaged, SourceSpoilt
from repository.locks import Lock
from repository.lost_packs import LostPack, drop_lost_packs
from repository.packfile import BlobType
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found
from repository.telling import Teller, stopping
from repository.transfer import Transfer
from repository.writer import INDEX_MAX_AGE_S, BlobWriter, WriteOptions
from storage_adapters.base import is_far

# Far away that takes long: there the index is saved also in the middle of a batch, this often.
_FAR_INDEX_AGE_S = 60.0

logger = logging.getLogger(__name__)

OnStored = Callable[[bytes, bytes, int], None]
# A snapshot with what the destination lacks of it: None, as it is there already; or why that is not known.
_Planned = tuple[bytes, Snapshot, "Part | SourceSpoilt | None"]


@dataclass(slots=True)
class CopyResult:
    """What a copy did, as (id in the source, id in the destination); `skipped` were there before.

    Of those that were `copied`, one that was there before and lacked something has kept its id.

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
    *,
    doubted: Collection[bytes] = (),
) -> CopyResult:
    """Copy these snapshots, in this order, under a lock on each repository that the caller holds (shared).

    A snapshot that the destination has already is skipped, and so is every blob, unless the storage has lost
    its pack: the packs are listed first. If some are lost, and for those of the destination's snapshots that
    are `doubted`, what such a snapshot lacks there is stored, and it stays. All trees are looked at before
    anything is sent, so that progress knows how much there is to carry, as the source holds it; it is done
    once it is stored. `on_stored` is called after each snapshot, with its id in the source and in the
    destination and the bytes it added.
    Raises SnapshotNotFound and SourceSpoilt, which are about the source; Damaged, BlobNotFound, which are
    about the destination; LockLost, StorageError, and Cancelled from `progress` (called from several threads,
    also before each write): snapshots copied before are there then, and the next run goes on from what was
    stored.
    """
    with _reading_source():
        wanted = [(each, source.load_snapshot(each)) for each in snapshot_ids]
    known = _Known(
        destination.list_snapshots(lambda damaged, error: logger.warning("not compared: %s", error))
    )
    with _reading_source():
        source.load_index()
    destination.load_index()
    teller = Teller(progress, source.storage, destination.storage)
    run = _Run(source, destination, locks, teller)
    run.result.lost_packs = drop_lost_packs(destination)
    known.doubted = None if run.result.lost_packs else doubted
    for pack in run.result.lost_packs:
        logger.warning("the destination lost data, which is not relied on: %s", pack)
    with teller.ending(), stopping(destination):
        for snapshot_id, snapshot, part in run.plan(wanted, known):
            if isinstance(part, SourceSpoilt):
                raise part
            new_id = known.find(snapshot_id, snapshot)
            if new_id is not None and (part is None or not (part.data or part.tree)):
                run.result.skipped.append((snapshot_id, new_id))
                on_stored(snapshot_id, new_id, 0)
                continue
            assert part is not None, "only what was there before is not planned"
            before = run.result.bytes_added
            run.carry(part)
            if new_id is None:
                copied = replace(snapshot, parent=None, original=snapshot.original or snapshot_id)
                new_id = run.commit(copied)
                known.add(new_id, copied)
            run.result.copied.append((snapshot_id, new_id))
            on_stored(snapshot_id, new_id, run.result.bytes_added - before)
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
    """The snapshots of the destination by the id that their first version had.

    `doubted`: those of which something may be lost there; None: any.
    """

    doubted: Collection[bytes] | None = ()

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

    def has_whole(self, snapshot_id: bytes, snapshot: Snapshot) -> bool:
        """Tell whether there is a copy of this snapshot, and no reason to doubt it."""
        twin = self.find(snapshot_id, snapshot)
        return twin is not None and self.doubted is not None and twin not in self.doubted


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
        self._plan = CopyPlan(source, destination)
        self._phase = "scanning"
        self._carried = self._bytes_before = 0
        self._writer: BlobWriter | None = None
        self.result = CopyResult()

    def plan(self, snapshots: Iterable[tuple[bytes, Snapshot]], known: _Known) -> list[_Planned]:
        """Find what each snapshot needs, before anything is sent, up to the first that cannot be read."""
        planned: list[_Planned] = []
        for snapshot_id, snapshot in snapshots:
            part: Part | SourceSpoilt | None = None
            if not known.has_whole(snapshot_id, snapshot):
                part = self._try_to_plan(snapshot)
            planned.append((snapshot_id, snapshot, part))
            if isinstance(part, SourceSpoilt):
                break  # those before it are copied all the same
        self._phase = "copying"
        return planned

    def carry(self, part: Part) -> None:
        """Copy what a snapshot needs."""
        far = is_far(self._destination.storage)
        self._writer = writer = self._destination.start_writing(
            WriteOptions(
                compression=self._destination.compression,
                guard=self._guard,
                wait=self._tell,
                index_max_age_s=_FAR_INDEX_AGE_S if far else INDEX_MAX_AGE_S,
            )
        )
        self._bytes_before = self.result.bytes_added
        transfer = _Transfer(self._source, writer, self._destination.config.version, self._count)
        for batch in self._plan.batches(part):
            transfer.run(batch)
            self.result.blobs_added += sum(len(places) for _, places in batch)
            writer.flush()

    def commit(self, snapshot: Snapshot) -> bytes:
        """Store a snapshot of which all is there; return its new id."""
        self._tell()  # the last moment to be cancelled
        return commit_snapshot(self._destination, snapshot, *self._locks)

    def _try_to_plan(self, snapshot: Snapshot) -> Part | SourceSpoilt:
        try:
            with _reading_source():
                return self._plan.add(snapshot.tree, self._tell)
        except SourceSpoilt as error:
            return error

    def _guard(self) -> None:
        """Before each write, in the threads that upload: a whole batch may be on its way."""
        for lock in self._locks:
            lock.check()
        self._tell()

    def _count(self, carried_bytes: int, stored_bytes: int) -> None:
        self._carried += carried_bytes
        self.result.bytes_added += stored_bytes
        self._tell()

    def _tell(self) -> None:
        """Say where we are. What was read, but waits for its upload, is not done yet."""
        added = self.result.bytes_added
        stored = 0 if self._writer is None else self._writer.stored_bytes
        waiting = max(0, added - self._bytes_before - stored)
        total = self._plan.bytes_total if self._phase == "copying" else None
        done = max(0, self._carried - waiting)
        self._progress(Progress(self._phase, self._plan.trees, None, done, total, max(0, added - waiting)))
