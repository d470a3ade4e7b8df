"""Prunes as jobs: what forgotten points leave behind is deleted, one repository at a time, when that pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select

from core import clock, words
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound, Refused
from core.jobs import attempts, jobs, lock_holders
from core.jobs.attempts import Attempt, Waiting
from core.jobs.dead_locks import remove_dead_locks
from core.jobs.outcomes import Outcome
from core.models import Copy, Job, RepositoryRecord
from core.models.job import PENDING
from core.points import points
from core.storages import storages
from repository.locks import Lock, lock_repository
from repository.progress import Progress
from repository.prune import PruneResult, prune
from repository.prune_plan import DEFAULT_UNUSED, PruneOptions
from repository.repository import Repository
from storage_adapters.base import is_far
from storage_adapters.errors import StorageFull

# A prune that nobody asked for deletes only if at least this share of what is stored is unused.
PAYS_FROM = 0.10
ONCE_IN = timedelta(hours=24)
TRY_AGAIN_AFTER = timedelta(hours=1)
# Backups wait while a prune copies what is still needed, so one run copies no more than this, in bytes.
COPY_AT_MOST = 8 << 30
COPY_AT_MOST_FAR = 1 << 30
# Snapshots that others have removed can be made anew as long as their packs are there: for so long no prune
# takes those by itself.
LOST_FOR = timedelta(days=30)
AUTOMATIC = "retention"  # the trigger of those that begin by themselves
NO_ROOM = "no_room_for_copies"  # a count of such a prune
_GOOD = ("completed", "warning")


def create(repository_id: str, trigger: str) -> Job:
    """Make a queued prune of a repository; the caller enqueues it. One that is queued already is returned.

    One that a person asks for (any trigger but AUTOMATIC) frees what it can, however little that is.
    Raises NotFound; Conflict while one is running.
    """
    with write() as session:
        record = session.get(RepositoryRecord, repository_id, with_for_update=True)
        if record is None:
            raise NotFound(f"There is no repository {repository_id!r}.")
        pending = session.scalar(_prunes(repository_id).where(Job.status.in_(PENDING)).limit(1))
        if pending is None:
            return jobs.add_job(session, kind="prune", trigger=trigger, repository_id=repository_id)
        if pending.status == "running":
            raise Conflict(
                f"{record.storage.name} is being compacted already: job {pending.id} is running.",
                "Wait until it has ended, or cancel it.",
            )
        if trigger != AUTOMATIC:
            pending.trigger = trigger
        return pending


def follow(now: datetime | None = None) -> list[int]:
    """Make the prunes that removed points call for; return their jobs, to be enqueued."""
    now = now or utc_now()
    due = [record.id for record in storages.list_repositories() if is_due(record, now)]
    return [create(repository_id, AUTOMATIC).id for repository_id in due]


def is_due(record: RepositoryRecord, now: datetime) -> bool:
    """Tell whether points have left a repository since the last prune, and that was not just now.

    Not while points were lost there lately: they left by nobody's rule.
    """
    if record.storage.unreachable_since is not None or pending(record.id) is not None:
        return False
    if _has_lost(record.id, now):
        return False
    newest = db.session.scalar(_prunes(record.id).order_by(Job.id.desc()).limit(1))
    if newest is not None and newest.ended_at is not None:
        pause = ONCE_IN if newest.status in _GOOD else TRY_AGAIN_AFTER
        # One that ended in the future ended under a wrong clock: the next would wait until then.
        if -points.CLOCK_SLACK < now - newest.ended_at < pause:
            return False
    done = last(record.id)
    return _has_left(record.id, done) or (done is not None and _has_more(done))


def last(repository_id: str) -> Job | None:
    """Return the newest prune that reached its end."""
    return db.session.scalar(
        _prunes(repository_id).where(Job.status.in_(_GOOD)).order_by(Job.id.desc()).limit(1)
    )


def pending(repository_id: str) -> Job | None:
    """Return the prune that is queued or running."""
    return db.session.scalar(_prunes(repository_id).where(Job.status.in_(PENDING)).limit(1))


def queued_ids() -> list[int]:
    """Return the prunes that wait to begin."""
    query = select(Job.id).where(Job.kind == "prune", Job.status == "queued")
    return list(db.session.scalars(query.order_by(Job.id)))


def perform_prune(attempt: Attempt) -> Outcome:
    """Do the prune that `attempt` claimed, end the job, and return how. Raises what the engine raises."""
    clock.require_trusted("nothing is deleted")
    attempt.report(Progress("opening"))
    job = attempts.current(attempt)
    record = storages.get_repository(job.repository_id or "")
    name, automatic = record.storage.name, job.trigger == AUTOMATIC
    repo = storages.open_repository(record)
    try:
        result, had_room = _prune(attempt, repo, record.id, automatic=automatic)
    finally:
        repo.close()
    outcome = _outcome(name, result, had_room=had_room)
    attempts.finish(attempt, outcome)
    return outcome


def put_off(reason: str) -> Outcome:
    """Return how a prune ends for which jobs of ours left no moment: no failure, and it is tried again."""
    meaning = "Nothing was deleted. It is tried again after the next clean-up."
    return Outcome("cancelled", reason, meaning)


def _prune(
    attempt: Attempt, repo: Repository, record_id: str, *, automatic: bool
) -> tuple[PruneResult, bool]:
    """Return what was done, and whether there was room to copy."""
    remove_dead_locks(repo)
    if lock_holders.are_all_ours(repo):
        raise Waiting("another job of Holdfast is using the repository")
    with lock_repository(repo, exclusive=True, on_lock_id=attempt.hold_lock) as lock:
        _refuse_if_lost(repo, record_id, automatic=automatic)
        found: list[PruneResult] = []

        def is_worth(expected: PruneResult) -> bool:
            found.append(replace(expected))
            # Once it was begun, what it has copied in vain goes in any case.
            return len(found) > 1 or not automatic or _unused_share(expected) >= PAYS_FROM

        try:
            copies = COPY_AT_MOST_FAR if is_far(repo.storage) else COPY_AT_MOST
            return _prune_with(attempt, repo, lock, copies, is_worth), True
        except StorageFull as error:
            # What needs no copies makes room for them: a full storage would stay full otherwise.
            attempt.log.add("warning", f"No room for copies, so only whole packs are freed: {error}.")
            result = _prune_with(attempt, repo, lock, 0, is_worth)
            _count_from(found[0], result)
            return result, False


def _prune_with(
    attempt: Attempt, repo: Repository, lock: Lock, copy_at_most: int, is_worth: Callable[[PruneResult], bool]
) -> PruneResult:
    return prune(repo, PruneOptions(max_repack_bytes=copy_at_most), lock, attempt.report, is_worth=is_worth)


def _count_from(first: PruneResult, result: PruneResult) -> None:
    """Take out of a result what a first try, which found no room, had copied: it was not there before."""
    result.bytes_freed += first.bytes_before - result.bytes_before
    result.bytes_before = first.bytes_before
    result.packs_unindexed = first.packs_unindexed


def _unused_share(expected: PruneResult) -> float:
    """Return which part of what is stored no point needs, before a prune."""
    unused = expected.bytes_freed + expected.bytes_unused
    return unused / expected.bytes_before if expected.bytes_before else 0.0


def _refuse_if_lost(repo: Repository, record_id: str, *, automatic: bool) -> None:
    """Raise Refused if points that should be there are not: a storage that lists no snapshots for once, or
    somebody who removed them, must not be the end of the data, too."""
    listed = {file.id.hex() for file in repo.files.list("snapshots")}
    there = select(Copy.snapshot_id).where(
        Copy.repository_id == record_id, Copy.forgotten_at.is_(None), Copy.lost_at.is_(None)
    )
    missing = [name for name in db.session.scalars(there) if name not in listed]
    db.session.rollback()
    if missing:
        number = words.count(len(missing), "point")
        raise Refused(
            f"The snapshots of {number} that should be there are not listed, so nothing was deleted.",
            "Run a clean-up: it notes what is lost. Find out who removed them.",
        )
    if automatic and _has_lost(record_id, utc_now()):
        raise Refused(
            "Points were removed there by another program lately, so nothing is deleted by itself.",
            "Find out who removed them: `restic recover` can bring them back. “Compact now” deletes what no "
            "point needs any more.",
        )


def _has_lost(repository_id: str, now: datetime) -> bool:
    """Tell whether points were lost there lately."""
    lost = select(Copy.id).where(Copy.repository_id == repository_id, Copy.lost_at > now - LOST_FOR)
    return db.session.scalar(lost.limit(1)) is not None


def _has_more(done: Job) -> bool:
    """Tell whether a prune left something for the next; not for lack of room: each would use that up."""
    return done.counts.get("bytes_left", 0) > 0 and not done.counts.get(NO_ROOM)


def _has_left(repository_id: str, done: Job | None) -> bool:
    """Tell whether a snapshot was removed there since the last prune began."""
    gone = or_(Copy.forgotten_at.is_not(None), Copy.lost_at.is_not(None))
    if done is not None and done.started_at is not None:
        gone = or_(Copy.forgotten_at >= done.started_at, Copy.lost_at >= done.started_at)
    query = select(Copy.id).where(Copy.repository_id == repository_id, gone)
    return db.session.scalar(query.limit(1)) is not None


def _prunes(repository_id: str) -> Select[Job]:
    return select(Job).where(Job.kind == "prune", Job.repository_id == repository_id)


def _outcome(name: str, result: PruneResult, *, had_room: bool) -> Outcome:
    if result.dry_run:
        share = f"{_unused_share(result):.1%} of {words.size(result.bytes_before)}"
        return Outcome(
            "completed",
            f"Nothing was deleted on {name}: {share} is unused, and it pays from {PAYS_FROM:.0%} on.",
            "It is looked at again when more points have left. “Compact now” frees what it can at any time.",
            counts={"bytes_before": result.bytes_before, "bytes_freed": 0},
        )
    deleted = _deleted(result)
    summary = f"Freed {words.size(max(0, result.bytes_freed))} in {words.count(deleted, 'pack')} on {name}."
    if not deleted:
        summary = f"There was nothing to free on {name}."
    left = _left(result)
    when = "by another run" if had_room else "when there is room for copies"
    meaning = f"All that its points need was found first. {words.size(result.bytes_used)} are in use" + (
        f"; more can be freed {when}, about {words.size(left)}." if left else "."
    )
    counts = {
        "bytes_freed": result.bytes_freed, "packs_deleted": deleted, "packs_written": result.packs_written,
        "bytes_repacked": result.bytes_repacked, "bytes_before": result.bytes_before,
        "bytes_used": result.bytes_used, "bytes_unused": result.bytes_unused, "bytes_left": left,
    }  # fmt: skip
    counts |= {} if had_room else {NO_ROOM: 1}
    if not result.undeleted:
        return Outcome("completed", summary, meaning, counts=counts)
    return Outcome(
        "warning", f"{summary} {words.count(len(result.undeleted), 'pack')} could not be deleted.",
        "No point needs them. They go on using space.",
        "See why the storage does not let Holdfast delete there. The next prune tries again.",
        "\n".join(result.undeleted), counts, len(result.undeleted),
    )  # fmt: skip


def _deleted(result: PruneResult) -> int:
    leaving = result.packs_deleted + result.packs_repacked + result.packs_unindexed
    return max(0, leaving - len(result.undeleted))


def _left(result: PruneResult) -> int:
    """Return how much a next run would free, because this one had copied enough; in bytes."""
    return max(0, int(result.bytes_unused - DEFAULT_UNUSED.limit_bytes(result.bytes_used)))
