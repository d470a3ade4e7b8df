"""Fill the catalog as a job: asked for, or by itself where points lack that no backup will add."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from core import words
from core.db import db, write
from core.jobs import attempts, jobs
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Copy, Job, RepositoryRecord, Storage
from core.models.job import ENDED, PENDING
from core.points import catalog, catalog_drop, catalog_file, catalog_fill
from core.points.catalog_fill import Filled
from repository.progress import Progress

KIND = "catalog"
# By itself: so long at a time, then it leaves the disk and the storage to others.
BY_ITSELF_FOR_S = 300.0
AGAIN_AFTER, AGAIN_AFTER_TROUBLE = timedelta(hours=1), timedelta(hours=24)
# A backup adds its own point once it has ended.
LACKING_FOR = timedelta(hours=1)
LOOK_EVERY = timedelta(minutes=10)
_BY_ITSELF = "schedule"
_NICE = 15

_looked_at: datetime | None = None


def create(trigger: str, *, rebuild: bool = False) -> Job:
    """Ask for the catalog to be filled, or begun anew; the caller enqueues it. One that waits is returned
    instead of a second."""
    with write() as session:
        query = select(Job).where(Job.kind == KIND, Job.status == "queued")
        for found in session.scalars(query):
            if bool(found.parameters.get("rebuild")) == rebuild:
                return found
        return jobs.add_job(
            session, kind=KIND, trigger=trigger, parameters={"rebuild": True} if rebuild else {}
        )


def pending() -> Job | None:
    """Return the job that fills the catalog now, or is about to."""
    query = select(Job).where(Job.kind == KIND, Job.status.in_(PENDING))
    return db.session.scalar(query.order_by(Job.status.desc(), Job.id).limit(1))


def tick(now: datetime) -> list[int]:
    """Return the job that fills the catalog by itself, if points lack that could be read now."""
    global _looked_at
    if _looked_at is not None and timedelta() <= now - _looked_at < LOOK_EVERY:
        return []
    _looked_at = now
    if not _is_due(now) or not catalog_fill.lacking(_readable(now)):
        return []
    return [create(_BY_ITSELF).id]


def perform_fill(attempt: Attempt) -> Outcome:
    """Fill the catalog, end the job, and return how. Raises CatalogUnusable, and what a stop raises."""
    job = attempts.current(attempt)
    by_itself, rebuild = job.trigger == _BY_ITSELF, bool(job.parameters.get("rebuild"))
    end = time.monotonic() + BY_ITSELF_FOR_S if by_itself else None
    if by_itself:
        os.nice(_NICE)  # of the job's own process
    attempt.report(Progress("waiting for others"))
    if rebuild and attempt.number == 1:
        with catalog_file.dropping(wait=True):
            catalog_file.delete()

    def go_on() -> bool:
        stopped = attempt.cancelled.is_set() or attempt.stopped.is_set() or attempt.lost.is_set()
        return not stopped and (end is None or time.monotonic() < end)

    def told(done: int, total: int) -> None:
        attempt.progress = Progress("cataloguing", done, total)

    told(0, catalog.coverage().lacking)
    filled = catalog_fill.fill_all(go_on, told)
    attempt.check()
    catalog_drop.sweep()
    outcome = _outcome(attempt, filled)
    attempts.finish(attempt, outcome)
    return outcome


def _outcome(attempt: Attempt, filled: Filled) -> Outcome:
    for point_id, why in filled.unreadable.items():
        attempt.log.add("warning", f"Point {point_id} is not in the catalog: {words.ended(why)}")
    found, lacking = catalog.coverage(), len(filled.unreadable)
    summary = (
        f"{words.count(filled.points, 'point')} added: search knows {found.catalogued:,} of "
        f"{words.count(found.points, 'point')}."
    )
    if lacking:
        meaning = (
            "What only those hold is not found by search. It can still be browsed, as far as it can be read."
        )
        return Outcome(
            "warning", f"{summary} {words.count(lacking, 'point')} cannot be read.", meaning,
            "See the log for why. A storage that is away is read again when it is back.", problems=lacking,
        )  # fmt: skip
    more = "The rest follows by itself." if filled.left else ""
    return Outcome("completed", f"{summary} {more}".strip(), counts={"points": filled.points})


def _is_due(now: datetime) -> bool:
    if pending() is not None:
        return False
    query = select(Job).where(Job.kind == KIND, Job.status.in_(ENDED)).order_by(Job.id.desc()).limit(1)
    last = db.session.scalar(query)
    if last is None or last.ended_at is None or last.ended_at > now:
        return True
    return now - last.ended_at > (AGAIN_AFTER if last.status == "completed" else AGAIN_AFTER_TROUBLE)


def _readable(now: datetime) -> ColumnElement[bool]:
    """Return the condition for copies that lack for long enough, where they can be read."""
    away = select(RepositoryRecord.id).join(Storage).where(Storage.unreachable_since.is_not(None))
    return (Copy.created_at < now - LACKING_FOR) & Copy.repository_id.not_in(away)
