"""Make a snapshot of a source."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from repository.backup_content import require_as_before, require_content_at_first, require_something
from repository.backup_read import FileReader
from repository.backup_walk import TreeWalk
from repository.collector import rare_collections
from repository.commit import commit_snapshot
from repository.crew import Crew
from repository.entries import Problem, Source, SplittableSource
from repository.files import local_identity
from repository.gotext import LocalZone, format_time
from repository.locks import Lock
from repository.lost_packs import LostPack, drop_lost_packs
from repository.progress import ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found, fits
from repository.spare_workers import NO_SPARES, SpareWorkers
from repository.tally import Tally
from repository.telling import Teller, stopping
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from repository.worker import Setup, affordable
from repository.writer import BlobWriter, WriteOptions

PROGRAM_VERSION = "holdfast 0.1.0"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """How to make a snapshot.

    `parent`: id of the snapshot to compare with; None takes the newest of this host with these paths;
    `force` takes none. `read_all` reads every file, changed or not. `excludes` is only recorded: the source
    has applied the rules. `time_ns`, `hostname`, `username` default to now, the source's and this process's.
    `zone` is the zone that times are written in: another one makes other trees; workers get it pickled.
    `expected`: (files, bytes) in total, for the progress. `refuse_empty`: raise NothingToBackUp where the
    parent held files and the source, or one of its paths, has none, or there is neither parent nor file.
    `workers`: how many processes read small files beside this one, where the source lets them; None is as
    many as this machine's processors are good for.
    """

    tags: list[str] = field(default_factory=list)
    parent: bytes | None = None
    force: bool = False
    excludes: list[str] = field(default_factory=list)
    time_ns: int | None = None
    hostname: str | None = None
    username: str | None = None
    zone: tzinfo = UTC
    self_check: bool = True
    read_all: bool = False
    refuse_empty: bool = True
    expected: tuple[int, int] | None = None
    workers: int | None = None


@dataclass(slots=True)
class BackupResult(Tally):
    """What a backup did: the counts of Tally, and the snapshot it made.

    `lost_packs` are those that the storage had lost before; what the source still has of them is stored anew.
    """

    snapshot_id: bytes = b""
    tree: bytes = b""
    parent: bytes | None = None
    duration_s: float = 0.0
    lost_packs: list[LostPack] = field(default_factory=list)

    @property
    def snapshot_hex(self) -> str:
        """The snapshot's id in hex digits."""
        return self.snapshot_id.hex()


def backup(
    repo: Repository,
    source: Source,
    options: BackupOptions,
    lock: Lock,
    progress: ProgressCallback = ignore_progress,
    report: Callable[[Problem], None] = lambda problem: None,
    cache: TreeCache = NO_TREE_CACHE,
    spares: SpareWorkers = NO_SPARES,
) -> BackupResult:
    """Store the source's tree and make a snapshot of it, under a lock that the caller holds.

    Every file left out or stored imperfectly is reported. Raises SourceUnavailable, NothingToBackUp,
    LockLost, Damaged, StorageError, and Cancelled from `progress`; there is no new snapshot then. Killed
    anywhere, all earlier snapshots are intact; what was stored is used by the next run or pruned.
    """
    started, started_ns = time.monotonic(), time.time_ns()
    source.check()
    result = BackupResult()
    parent = _find_parent(repo, source, options)  # snapshots before the index, or a fresh one may lack it
    repo.load_index()
    result.lost_packs = _without_lost_packs(repo, always=options.read_all)
    parent_id = parent[0] if parent else None
    # The cache knows which index files there were, not which packs: with some lost, every folder is listed.
    read_all = options.read_all or bool(result.lost_packs)
    cache.begin(repo, parent_id, options.zone, program=PROGRAM_VERSION, read_all=read_all)
    teller = Teller(progress, repo.storage)
    writer = repo.start_writing(
        WriteOptions(
            compression=repo.compression, self_check=options.self_check, guard=lock.check, wait=teller.again
        )
    )
    crew = _crew(repo, source, options, writer, result, spares)
    with teller.ending(), stopping(repo):
        reader = FileReader(repo, source, result, teller, options.expected, crew)
        result.tree = _save_tree(repo, source, options, parent, result, reader, report, cache)
        result.parent = parent_id
        teller(result.progress("saving", options.expected))
        repo.flush()  # asks the storage whether it kept each pack, then each index file, whole
        snapshot = _snapshot(source, options, result, started_ns)
        result.snapshot_id = commit_snapshot(repo, snapshot, lock)
        cache.save(result.snapshot_id)
    result.duration_s = time.monotonic() - started
    return result


def _without_lost_packs(repo: Repository, *, always: bool) -> list[LostPack]:
    lost = drop_lost_packs(repo, always=always)
    for pack in lost:
        logger.warning("the storage lost data: %s; what of it is still in the source is stored anew", pack)
    return lost


def _save_tree(
    repo: Repository,
    source: Source,
    options: BackupOptions,
    parent: Found | None,
    tally: Tally,
    reader: FileReader,
    report: Callable[[Problem], None],
    cache: TreeCache,
) -> bytes:
    """Store everything below the root; return the root's tree id."""
    zone = LocalZone(options.zone)

    def count_and_report(problem: Problem) -> None:
        tally.count_problem(problem)
        report(problem)

    with reader, rare_collections():
        walk = TreeWalk(repo, source, reader, tally, zone, count_and_report, cache)
        tree = walk.run(parent[1].tree if parent else None, read_all=options.read_all)
        reader.finish()
    require_something(tally)
    if options.refuse_empty:
        if parent is None:
            require_content_at_first(tally, walk.links_total)
        else:
            require_as_before(repo, tally, parent[1], walk.empty_places())
    return tree


def _crew(
    repo: Repository,
    source: Source,
    options: BackupOptions,
    writer: BlobWriter,
    tally: Tally,
    spares: SpareWorkers,
) -> Crew | None:
    """Return the workers, none of them started yet, or None if this backup must do without."""
    workers = affordable() if options.workers is None else options.workers
    if not workers or not getattr(source, "splittable", False):
        return None
    assert isinstance(source, SplittableSource)
    setup = Setup(source, repo.config.chunker_polynomial, writer.sealer, options.zone)
    return Crew(setup, writer, tally, workers, spares)


def _find_parent(repo: Repository, source: Source, options: BackupOptions) -> Found | None:
    """Return the snapshot to compare with: named, or the newest of this host with these paths."""
    if options.force:
        return None
    if options.parent is not None:
        return options.parent, repo.load_snapshot(options.parent)
    now = options.time_ns or time.time_ns()
    hostname = options.hostname or source.hostname
    snapshots = repo.list_snapshots(lambda damaged, error: logger.warning("not usable as parent: %s", error))
    fitting = [each for each in snapshots if fits(each[1], hostname, source.paths) and each[1].time_ns <= now]
    return fitting[-1] if fitting else None


def _snapshot(source: Source, options: BackupOptions, result: BackupResult, started_ns: int) -> Snapshot:
    zone = LocalZone(options.zone)
    started = format_time(started_ns, zone)
    return Snapshot(
        time=format_time(options.time_ns, zone) if options.time_ns is not None else started,
        parent=result.parent,
        tree=result.tree,
        paths=list(source.paths),
        hostname=options.hostname or source.hostname,
        username=options.username or local_identity()[1],
        uid=os.getuid(),
        gid=os.getgid(),
        excludes=list(options.excludes),
        tags=list(options.tags),
        program_version=PROGRAM_VERSION,
        summary=result.summary(started, format_time(time.time_ns(), zone)),
    )
