"""Delete what no snapshot needs (restic-format.md, section 13)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from repository.errors import BlobNotFound, Damaged, RepositoryError
from repository.files import StoredFile, list_packs
from repository.index import Index, Location
from repository.index_rewrite import IndexRewrite, load_listed_index, try_delete_packs
from repository.locks import Lock
from repository.packfile import BlobType, PackedBlob
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.prune_plan import Plan, PruneOptions, make_plan
from repository.repository import Repository
from repository.transfer import Transfer, Wanted
from repository.used import BLOB_TYPES, BlobSet, find_used
from repository.writer import BlobWriter, WriteOptions

# An index file that lists fewer blobs is joined with others when the index is written anew anyway.
_SMALL_INDEX_BLOBS = 5_000
_NOTHING_GONE = "no pack in use and no old index file was deleted"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class PruneResult:
    """What a prune did; of a dry run, what it would do (nothing is written then).

    Sizes are in bytes as stored. `bytes_freed`: what the storage holds less than before. `bytes_used` and
    `bytes_unused` (kept for now) are of blobs, after the prune. `undeleted`: packs that could not be deleted
    and are not needed; a later prune finds them.
    """

    packs_kept: int = 0
    packs_deleted: int = 0
    packs_unindexed: int = 0
    packs_repacked: int = 0
    packs_missing: int = 0
    packs_written: int = 0
    blobs_used: int = 0
    blobs_repacked: int = 0
    blobs_duplicate: int = 0
    bytes_before: int = 0
    bytes_freed: int = 0
    bytes_repacked: int = 0
    bytes_used: int = 0
    bytes_unused: int = 0
    undeleted: list[str] = field(default_factory=list)
    dry_run: bool = False


def prune(
    repo: Repository,
    options: PruneOptions,
    lock: Lock,
    progress: ProgressCallback = ignore_progress,
    *,
    as_if_forgotten: Collection[bytes] = (),
    is_worth: Callable[[PruneResult], bool] = lambda expected: True,
) -> PruneResult:
    """Delete packs that no snapshot needs, and copy what is needed out of those that hold much else.

    Under an exclusive lock that the caller holds. Nothing is deleted unless all of the index, every snapshot
    and every tree can be read and all that they need is there: raises Damaged or BlobNotFound, which say what
    is not. Raises also LockLost, StorageError, and Cancelled from `progress` (called from several threads).
    Stopped at any moment, every snapshot is intact, and the next prune goes on. A dry run may be told to look
    away from snapshots: to say what forgetting them would free. `is_worth` is asked with what is to be
    expected; if it says no, this was a dry run.
    """
    if not lock.exclusive:
        raise RepositoryError("a prune needs an exclusive lock, and this one is shared")
    if as_if_forgotten and not options.dry_run:
        raise ValueError("only a dry run may look away from snapshots that are there")
    index = _load_index(repo)
    used = find_used(repo, _roots(repo, as_if_forgotten), progress)
    stored = list_packs(repo.storage)
    progress(Progress("deciding"))
    plan = make_plan(repo.index, used, stored, options, repo.config.version)
    result = _expect(plan, used, stored)
    result.dry_run = options.dry_run or not is_worth(result)
    if not result.dry_run:
        _Run(repo, plan, used, options, lock, progress, result).run(index)
        repo.load_index()
    return result


@dataclass(frozen=True, slots=True)
class _IndexFiles:
    """The index files that were loaded, and the packs that more than one of them lists."""

    files: list[StoredFile]
    repeated: set[bytes]


def _load_index(repo: Repository) -> _IndexFiles:
    """Load all of the index, or raise Damaged."""
    loaded = _IndexFiles(repo.files.list("index"), set())
    index, seen = Index(), set[bytes]()
    for file in loaded.files:
        for pack, blobs in load_listed_index(repo, file).packs:
            index.add_pack(pack, blobs)
            if pack in seen:
                loaded.repeated.add(pack)
            seen.add(pack)
    repo.stop_writing()
    repo.index = index
    return loaded


def _roots(repo: Repository, as_if_forgotten: Collection[bytes]) -> list[bytes]:
    """Return the trees of all snapshots. Raises Damaged if one cannot be read, whatever the reason."""
    listed = {file.id for file in repo.files.list("snapshots")}
    found = dict(repo.list_snapshots())
    for snapshot_id in sorted(listed - found.keys()):
        raise Damaged(
            f"the snapshot {snapshot_id.hex()} is listed but cannot be read; another program removed it, or "
            "the storage's listing is behind. Nothing was deleted. Try again later"
        )
    return [snapshot.tree for key, snapshot in found.items() if key not in as_if_forgotten]


def _expect(plan: Plan, used: BlobSet, stored: Mapping[bytes, int]) -> PruneResult:
    """Return what the plan comes to, if all of it is done."""
    after = [*plan.kept.values(), *plan.repack.values()]
    return PruneResult(
        packs_kept=len(plan.kept),
        packs_deleted=len(plan.unused),
        packs_unindexed=len(plan.unindexed),
        packs_repacked=len(plan.repack),
        packs_missing=len(plan.missing),
        blobs_used=len(used),
        blobs_repacked=sum(use.used_blobs for use in plan.repack.values()),
        blobs_duplicate=plan.duplicate_blobs,
        bytes_before=sum(stored.values()),
        bytes_freed=sum(plan.unindexed.values())
        + sum(use.size_bytes for use in plan.unused.values())
        + sum(use.unused_bytes for use in plan.repack.values()),
        bytes_repacked=sum(use.used_bytes for use in plan.repack.values()),
        bytes_used=sum(use.used_bytes for use in after),
        bytes_unused=sum(use.unused_bytes for use in plan.kept.values()),
    )


class _Run:
    """Carry out a plan. The order of the steps is what makes it safe to be stopped anywhere."""

    def __init__(
        self,
        repo: Repository,
        plan: Plan,
        used: BlobSet,
        options: PruneOptions,
        lock: Lock,
        progress: ProgressCallback,
        result: PruneResult,
    ) -> None:
        self._repo = repo
        self._plan = plan
        self._used = used
        self._options = options
        self._lock = lock
        self._progress = progress
        self._result = result
        self._bytes_done = 0

    def run(self, index: _IndexFiles) -> None:
        """Delete unindexed packs; copy; write the new index; delete the old, then the packs it named."""
        plan, result, before = self._plan, self._result, self._result.bytes_before
        self._delete(plan.unindexed)
        written = self._repack() if plan.repack else {}
        if plan.leaving or index.repeated:
            self._replace_index(index, written)
            self._delete([*plan.unused, *plan.repack])
        result.packs_written = sum(key.startswith("data/") for key in written)
        result.bytes_freed = before - sum(list_packs(self._repo.storage).values())

    def _repack(self) -> dict[str, int]:
        """Copy what is used to new packs, with an index; return key -> size of all that was written."""
        self._forget_what_is_kept()
        writer = BlobWriter(
            self._repo.files,
            self._repo.key,
            Index(),  # an empty one: these blobs are known, and are to be stored once more all the same
            WriteOptions(
                compression=self._repo.compression if self._options.repack_uncompressed else "off",
                guard=self._guard,
                wait=self._guard,
            ),
        )
        transfer = Transfer(self._repo, writer, self._repo.config.version, self._count)
        try:
            transfer.run(self._needed_of_repacked())
            writer.flush()
        except (Damaged, BlobNotFound) as error:
            raise type(error)(f"{error}. So {_NOTHING_GONE}; run check --read-data") from error
        finally:
            writer.stop()
        if len(self._used):
            raise Damaged(f"{len(self._used)} blobs that are needed were not copied, so {_NOTHING_GONE}")
        return dict(writer.written)

    def _forget_what_is_kept(self) -> None:
        """Leave in `used` only what no pack holds that stays: this must be copied."""
        for pack, blobs in self._repo.index.blobs_by_pack():
            if pack in self._plan.kept:
                for blob in blobs:
                    self._used.take(blob.type, blob.id)

    def _needed_of_repacked(self) -> Iterator[Wanted]:
        for pack in self._plan.repack:
            blobs = self._repo.index.blobs_in(pack)
            for blob_type in BLOB_TYPES:
                yield blob_type, self._take(pack, blob_type, blobs)

    def _take(self, pack: bytes, blob_type: BlobType, blobs: list[PackedBlob]) -> dict[bytes, Location]:
        return {
            blob.id: Location(pack, *blob[2:])
            for blob in blobs
            if blob.type == blob_type and self._used.take(blob_type, blob.id)
        }

    def _guard(self) -> None:
        self._lock.check()
        self._tell()

    def _count(self, carried_bytes: int, stored_bytes: int) -> None:
        self._bytes_done += stored_bytes
        self._tell()

    def _tell(self) -> None:
        self._progress(
            Progress("repacking", bytes_done=self._bytes_done, bytes_total=self._result.bytes_repacked)
        )

    def _replace_index(self, index: _IndexFiles, written: dict[str, int]) -> None:
        """Write anew the index files that name packs to be deleted, or packs that others name too."""
        self._progress(Progress("saving"))
        rewrite = IndexRewrite(self._repo, self._lock)
        leaving, done, old = self._plan.leaving, set[bytes](), []
        for file in index.files:
            packs = load_listed_index(self._repo, file).packs
            small = sum(len(blobs) for _, blobs in packs) < _SMALL_INDEX_BLOBS
            if not small and not any(pack in leaving or pack in index.repeated for pack, _ in packs):
                continue
            old.append(file.id)
            for pack, blobs in packs:
                if pack in leaving or pack in done:
                    continue
                if pack in index.repeated:
                    blobs = self._repo.index.blobs_in(pack)  # the files may each list a part
                    done.add(pack)
                rewrite.add(pack, blobs)
        rewrite.finish(old, written, f"{_NOTHING_GONE}; run prune again")

    def _delete(self, packs: Mapping[bytes, object] | list[bytes]) -> None:
        total, done = len(packs), count()

        def tell() -> None:
            self._progress(Progress("deleting", next(done), total))

        for pack, error in try_delete_packs(self._repo, packs, self._lock, tell):
            logger.warning(
                "the pack %s could not be deleted, the next prune tries again: %s", pack.hex(), error
            )
            self._result.undeleted.append(pack.hex())
