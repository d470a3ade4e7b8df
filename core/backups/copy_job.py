"""The job that fills a destination: copy what it lacks from wherever it can be read, and say how it went."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core import words
from core.alerting.lost_packs import tell_lost_packs
from core.backups import copy_wanted
from core.backups.copy_run import CopyRun, outcome_of
from core.backups.readback import Limits, accept_in, read_back, reject, rejected
from core.db import db, utc_now
from core.errors import HoldfastError, Unreachable
from core.jobs import attempts
from core.jobs.attempts import Attempt
from core.jobs.dead_locks import remove_dead_locks
from core.jobs.lock_holders import Holder
from core.jobs.outcomes import Outcome
from core.models import Copy, Destination, Point, Restore
from core.points import points
from core.points.adoption import add_copy
from core.points.reconcile import reconcile
from core.retention import quota
from core.storages import storages
from repository.copy import copy
from repository.errors import BlobNotFound, Damaged, RepositoryError, SnapshotNotFound, SourceSpoilt
from repository.locks import Lock, lock_repository
from repository.progress import Progress
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound, StorageError

# Read back of each snapshot that was copied; the engine has checked every piece against its id on the way.
_SAMPLE = Limits(trees=100, blobs=10, seconds=2.0)
# Of one that did not read back before, and was not mended since: all, or it is not believed.
_ALL = Limits(trees=sys.maxsize, blobs=sys.maxsize, seconds=60.0)
_SPOILT = (SourceSpoilt, SnapshotNotFound)
_BAD = (Damaged, BlobNotFound, SnapshotNotFound)


class _NotMended(Damaged):
    """A snapshot that was copied before did not read back then, and is no better now."""


def perform_copy(attempt: Attempt) -> Outcome:
    """Do the copy that `attempt` claimed, end the job, and return how. Raises what the engine raises."""
    attempt.report(Progress("opening"))
    run = _run_of(attempt)
    if run is None:
        return _not_needed(attempt)
    record = storages.get_repository(run.record_id)
    quota.require_room(record.storage)
    repo = storages.open_repository(record)
    try:
        remove_dead_locks(repo)
        with lock_repository(repo, on_lock_id=attempt.hold_lock) as lock:
            reconcile(repo, storages.get_repository(run.record_id), attempt.job_id)
            copy_wanted.plan(run)
            try:
                _copy_all(run, repo, lock)
                _verify(run, repo)
            except (Damaged, BlobNotFound) as error:
                raise Damaged(f"on {run.name}, where it was copied to: {error}") from error
    finally:
        repo.close()
    outcome = outcome_of(run)
    attempts.finish(attempt, outcome, lambda session: _note_end(session, run))
    return outcome


def _not_needed(attempt: Attempt) -> Outcome:
    outcome = Outcome("cancelled", "Its destination was taken out of the config.", "Nothing was copied.")
    attempts.finish(attempt, outcome)
    return outcome


def _run_of(attempt: Attempt) -> CopyRun | None:
    job = attempts.current(attempt)
    destination = db.session.get(Destination, job.parameters.get("destination_id", 0))
    if destination is None or destination.repository_id != job.repository_id:
        return None
    return CopyRun(
        attempt, destination.repository_id, destination.id, destination.repository.storage.name, todo=[]
    )


def _copy_all(run: CopyRun, repo: Repository, lock: Lock) -> None:
    """Try each place that has something of what is missing, the nearest first."""
    for source_id in copy_wanted.source_ids(run):
        if not run.todo:
            return
        run.attempt.check()
        wanted = copy_wanted.snapshots_on(run, source_id)
        if not wanted:
            continue
        try:
            source = storages.open_repository(storages.get_repository(source_id))
        except (Unreachable, RepositoryError, StorageError) as error:
            _note_trouble(run, error)
            continue
        try:
            _copy_from(run, source, source_id, repo, lock, wanted)
        finally:
            source.close()


def _copy_from(
    run: CopyRun,
    source: Repository,
    source_id: str,
    repo: Repository,
    lock: Lock,
    wanted: Mapping[bytes, int],
) -> None:
    """Copy from one place. What is spoilt there is left to the next; so is all, if the place goes away."""
    name = storages.get_repository(source_id).storage.name
    run.begin_from(name)
    holder = Holder(db.engine)
    run.attempt.log.add("info", f"Copying {words.count(len(wanted), 'point')} from {name} to {run.name}.")
    db.session.rollback()
    remove_dead_locks(source)
    try:
        with lock_repository(source, on_lock_id=holder.note) as source_lock:
            left = [each for each in wanted if _is_whole(run, source, each, wanted[each])]
            while left:
                left = _copy_some(run, source, repo, (source_lock, lock), wanted, left)
    except StorageError as error:
        if not _is_gone(source_id, error):
            raise
        _note_trouble(run, error)
    finally:
        holder.drop()


def _copy_some(
    run: CopyRun,
    source: Repository,
    repo: Repository,
    locks: tuple[Lock, Lock],
    wanted: Mapping[bytes, int],
    left: Sequence[bytes],
) -> list[bytes]:
    """Copy until all is done or one cannot be read, here or there; return what is left after that one."""
    waiting = list(left)
    run.begin_from(run.source)
    _begin(run, wanted[left[0]])

    def stored(snapshot_id: bytes, new_id: bytes, bytes_added: int) -> None:
        _add_row(run, repo, wanted[snapshot_id], new_id, bytes_added)
        waiting.remove(snapshot_id)
        if waiting:
            _begin(run, wanted[waiting[0]])

    doubted = {bytes.fromhex(name) for name in rejected(run.record_id)}
    db.session.rollback()
    try:
        lost = copy(source, repo, left, locks, run.report, stored, doubted=doubted).lost_packs
        tell_lost_packs(run.attempt.log, run.record_id, lost)
        db.session.rollback()
    except _NotMended as error:
        del waiting[0]
        _note_not_mended(run, error)
    except _SPOILT as error:
        if not waiting:
            raise
        _note_spoilt(run, waiting.pop(0), error)
    return waiting


def _begin(run: CopyRun, point_id: int) -> None:
    run.begin(points.get(point_id))
    db.session.rollback()


def _is_whole(run: CopyRun, source: Repository, snapshot_id: bytes, point_id: int) -> bool:
    """Tell whether a snapshot can be read and is that of its point; the engine begins with neither in doubt.

    What another program cut down is not the point, whatever a row says: it must not be copied as such.
    """
    try:
        points.require_same(points.get(point_id), source.load_snapshot(snapshot_id))
    except (Damaged, SnapshotNotFound) as error:
        _note_spoilt(run, snapshot_id, error)
        return False
    finally:
        db.session.rollback()
    return True


def _note_spoilt(run: CopyRun, snapshot_id: bytes, error: Exception) -> None:
    name = snapshot_id.hex()[:8]
    run.attempt.log.add("error", f"Snapshot {name} cannot be copied from {run.source}: {error}.")
    run.troubles.append(SourceSpoilt(f"on {run.source}, from where it was to be copied: {error}"))


def _note_not_mended(run: CopyRun, error: _NotMended) -> None:
    db.session.rollback()
    run.attempt.log.add("error", f"On {run.name}: {error}.")
    run.troubles.append(Damaged(f"on {run.name}, where it was copied to: {error}"))


def _add_row(run: CopyRun, repo: Repository, point_id: int, new_id: bytes, bytes_added: int) -> None:
    """Read a new snapshot back; only then, and if it is that of the point, does it count as a copy."""
    before = new_id.hex() in rejected(run.record_id)
    try:
        _require_readable(run, repo, point_id, new_id, whole=before, mended=bool(bytes_added))
    except _BAD as error:
        reject(run.record_id, new_id)
        if not before:
            raise
        raise _NotMended(
            f"snapshot {new_id.hex()[:8]}, which was copied earlier, does not read back: {error}. Run "
            "`restic check --read-data` there and repair it, or remove this snapshot: then it is copied anew"
        ) from error

    def add(session: Session) -> None:
        accept_in(session, run.record_id, new_id)
        add_copy(session, session.get_one(Point, point_id), run.record_id, new_id, bytes_added)

    attempts.write_also(run.attempt, add)
    run.sources.append(run.source)
    run.todo.remove(point_id)
    run.done.append(point_id)
    run.bytes_added += bytes_added
    run.made.append(new_id)


def _require_readable(
    run: CopyRun, repo: Repository, point_id: int, new_id: bytes, *, whole: bool, mended: bool
) -> None:
    """Read a snapshot back, and see that it is that of its point. `whole`: no sample, but all that the time
    allows for; less than all does only for what was `mended`."""
    if whole:
        snapshot, sample = read_back(repo, new_id, _ALL, run.attempt.check)
    else:
        snapshot, sample = read_back(repo, new_id, _SAMPLE)
    points.require_same(points.get(point_id), snapshot)
    if whole and not mended and not sample.all:
        raise Damaged("it did not then, and it is too large to read all of it now")


def _verify(run: CopyRun, repo: Repository) -> None:
    """Hold the new copies against what the storage itself lists, and read the newest once more.

    What does not stand this counts no longer. Raises RepositoryError, StorageError.
    """
    if not run.made:
        return
    run.attempt.progress = run.progress("verifying")
    listed = {file.id for file in repo.files.list("snapshots")}
    unlisted = [each for each in run.made if each not in listed]
    if unlisted:
        _take_back(run, unlisted)
        number = words.count(len(unlisted), "snapshot")
        raise Damaged(f"the storage took {number} that it does not list, so this does not count as copied")
    repo.load_index()
    try:
        read_back(repo, run.made[-1], _SAMPLE)
    except (RepositoryError, ObjectNotFound):
        reject(run.record_id, run.made[-1])
        _take_back(run, run.made[-1:])
        raise


def _take_back(run: CopyRun, snapshot_ids: Sequence[bytes]) -> None:
    """Remove the rows of copies that are none after all."""
    names = [snapshot_id.hex() for snapshot_id in snapshot_ids]
    chosen = select(Copy.id).where(Copy.repository_id == run.record_id, Copy.snapshot_id.in_(names))

    def remove(session: Session) -> None:
        ids = session.scalars(chosen).all()
        session.execute(update(Restore).where(Restore.copy_id.in_(ids)).values(copy_id=None))
        session.execute(delete(Copy).where(Copy.id.in_(ids)))

    attempts.write_also(run.attempt, remove)


def _is_gone(source_id: str, error: StorageError) -> bool:
    db.session.rollback()
    storage = storages.get_repository(source_id).storage
    return isinstance(storages.gone_behind([storage], error), Unreachable)


def _note_trouble(run: CopyRun, error: Exception) -> None:
    db.session.rollback()
    run.troubles.append(error)
    run.attempt.log.add("warning", error.message if isinstance(error, HoldfastError) else str(error))


def _note_end(session: Session, run: CopyRun) -> None:
    destination = session.get(Destination, run.destination_id)
    if destination is not None and not run.todo:
        destination.copied_at = utc_now()
