"""Jobs as people and the queue see them: made, listed, cancelled, handed to the queue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from core import words
from core.db import UtcDateTime, db, utc_now, write
from core.errors import Conflict, NotFound
from core.jobs import job_filters
from core.models import Config, Job, JobLog
from core.models.job import PENDING

PER_PAGE = 50
_BROKEN_STARTS = "broken_starts"
ENQUEUE_AGAIN_AFTER = timedelta(seconds=60)
# Nothing is put off for longer: a job that seems to be was put off under a wrong clock.
LONGEST_WAIT = timedelta(minutes=10)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `number` counts from 1; `total` counts all items, not only those here."""

    items: Sequence[T]
    number: int
    per_page: int
    total: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // self.per_page))


def create_backup(
    config_id: str, trigger: str, due_at: datetime | None = None, *, allow_empty: bool = False
) -> Job:
    """Make a queued backup of a config; the caller enqueues it (`jobs.tasks.enqueue`).

    `allow_empty`: a source that is empty where it was full before is meant to be so.
    Raises NotFound, and Conflict while another job of this config is queued or running.
    """
    with write() as session:
        return add_backup(session, config_id, trigger, due_at, allow_empty=allow_empty)


def add_backup(
    session: Session,
    config_id: str,
    trigger: str,
    due_at: datetime | None = None,
    *,
    allow_empty: bool = False,
) -> Job:
    """Do the same inside a writing transaction that the caller has open."""
    config = session.get(Config, config_id, with_for_update=True)
    if config is None or config.deleted_at is not None:
        raise NotFound(f"There is no config {config_id!r}.", "It may have been deleted meanwhile.")
    _refuse_second(session, config)
    parameters = {"allow_empty": True} if allow_empty else {}
    return _add(
        session, kind="backup", trigger=trigger, config_id=config_id, due_at=due_at, parameters=parameters
    )


def create_retention(
    trigger: str, config_id: str | None = None, *, confirmed: bool = False, most: int | None = None
) -> Job:
    """Make a queued retention run for one config, or for all; `confirmed` lets it pass the brake.

    `most`: how many points of one destination the person was told would go; no more are let past it.

    One that is queued already for the same config is returned instead of a second.
    """
    with write() as session:
        found = session.scalar(
            select(Job).where(Job.kind == "retention", Job.status == "queued", Job.config_id == config_id)
        )
        if found is not None and not confirmed:
            return found
        parameters = {"confirmed": True, "most": most} if confirmed else {}
        return _add(session, kind="retention", trigger=trigger, config_id=config_id, parameters=parameters)


def get(job_id: int) -> Job:
    """Return a job, as it is now. Raises NotFound."""
    job = db.session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def kind_of(job_id: int) -> str:
    """Return the kind of a job; "" if there is none."""
    return db.session.scalar(select(Job.kind).where(Job.id == job_id)) or ""


def list_jobs(
    *,
    kind: str | None = None,
    status: str | None = None,
    config_id: str | None = None,
    config_type: str | None = None,
    host_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    page: int = 1,
    per_page: int = PER_PAGE,
) -> Page[Job]:
    """Return the jobs that fit all filters given, newest first. `status` may be "pending" or "ended"."""
    conditions: list[ColumnElement[bool]] = [Job.hidden_at.is_(None)]
    if kind:
        conditions.append(Job.kind == kind)
    if status:
        conditions.append(job_filters.status_is(status))
    if config_id:
        conditions.append(Job.config_id == config_id)
    if config_type:
        conditions.append(Job.config.has(Config.type == config_type))
    if host_id:
        conditions.append(job_filters.is_on_host(host_id))
    if since:
        conditions.append(Job.created_at >= since)
    if until:
        conditions.append(Job.created_at < until)
    query = select(Job).where(*conditions).options(joinedload(Job.config))
    return paginate(query.order_by(Job.id.desc()), page, per_page)


def pending_of(config_id: str) -> Job | None:
    """Return the queued or running backup of a config, if there is one."""
    return db.session.scalar(_pending_backup(config_id))


def log_lines(
    job_id: int, *, problems_only: bool = False, page: int = 1, per_page: int = 200
) -> Page[JobLog]:
    """Return the log of a job, in order; `problems_only`: just the lines about single files, and warnings."""
    query = select(JobLog).where(JobLog.job_id == job_id).order_by(JobLog.id)
    if problems_only:
        query = query.where(or_(JobLog.level != "info", JobLog.path != ""))
    return paginate(query, page, per_page)


def request_cancel(job_id: int) -> Job:
    """Ask a job to stop. A queued one is cancelled at once, a running one as soon as it can stop cleanly.

    Raises NotFound; Conflict if it has ended.
    """
    with write() as session:
        job = session.get(Job, job_id)
        if job is None:
            raise NotFound(f"There is no job {job_id}.")
        if job.ended:
            raise Conflict(f"Job {job_id} has ended already: {job.status}.")
        job.cancel_requested_at = job.cancel_requested_at or utc_now()
        if job.status == "queued":
            _cancel_queued(job)
        return job


def to_enqueue(now: datetime | None = None) -> list[int]:
    """Return the jobs that the tick should put into the queue: its own, what has waited enough, and
    what was left queued for a minute or more."""
    now = now or utc_now()
    _forget_times_to_come(now)
    waited_enough = and_(Job.not_before.is_not(None), Job.not_before <= now, Job.enqueued_at.is_(None))
    since = func.coalesce(Job.enqueued_at, Job.created_at, type_=UtcDateTime())
    left = and_(
        or_(since <= now - ENQUEUE_AGAIN_AFTER, since > now + LONGEST_WAIT),
        or_(Job.not_before.is_(None), Job.not_before <= now),
    )
    from_the_tick = and_(Job.trigger == "schedule", Job.enqueued_at.is_(None), Job.not_before.is_(None))
    wanted = or_(waited_enough, left, from_the_tick)
    query = select(Job.id).where(Job.status == "queued", wanted).order_by(Job.id)
    return list(db.session.scalars(query))


def _forget_times_to_come(now: datetime) -> None:
    """Take back times that a wrong clock wrote: a job would wait until then."""
    ahead = now + LONGEST_WAIT
    wrong = and_(Job.status == "queued", or_(Job.not_before > ahead, Job.enqueued_at > ahead))
    if db.session.scalar(select(Job.id).where(wrong).limit(1)) is None:
        return
    with write() as session:
        session.execute(update(Job).where(wrong).values(not_before=None, enqueued_at=None))


def mark_enqueued(job_ids: Collection[int]) -> None:
    """Note that the queue has these jobs now."""
    with write() as session:
        session.execute(
            update(Job).where(Job.id.in_(job_ids), Job.status == "queued").values(enqueued_at=utc_now())
        )


def queued_followers(config_id: str) -> list[int]:
    """Return what waits to begin after a backup of a config: its retention, its copies."""
    kinds = Job.kind.in_(("retention", "copy"))
    query = select(Job.id).where(kinds, Job.config_id == config_id, Job.status == "queued")
    return list(db.session.scalars(query.order_by(Job.id)))


def hasten(job_id: int) -> None:
    """Let a waiting job try again now."""
    with write() as session:
        session.execute(update(Job).where(Job.id == job_id, Job.status == "queued").values(not_before=None))


def give_up_waiting(job_id: int, waited_s: int) -> None:
    """End a job that waits, because its caller waits no longer."""
    with write() as session:
        job = session.get(Job, job_id)
        if job is None or job.status != "queued":
            return
        reason = job.waiting_reason
        _cancel_queued(job)
        job.status = "failed"
        job.summary = f"Gave up after waiting for {words.count(waited_s, 'second')}: {reason}."
        job.advice = "Run it again when the other program has ended, or allow a longer --max-wait."


def fail_unstarted(job_id: int, why: str, detail: str) -> None:
    """End a queued job whose process broke before it could begin."""
    with write() as session:
        job = session.get(Job, job_id)
        if job is None or job.status != "queued":
            return
        job.status, job.ended_at = "failed", utc_now()
        job.summary = f"The job could not begin: {why}."
        job.meaning = "Nothing was read or written."
        job.advice = "Look at the technical detail: the installation is likely incomplete. Then run it again."
        job.detail = detail


def note_broken_start(job_id: int) -> int:
    """Note that a process of a queued job died before it claimed it; return how often that happened."""
    with write() as session:
        job = session.get(Job, job_id)
        if job is None or job.status != "queued":
            return 0
        count = int(job.parameters.get(_BROKEN_STARTS, 0)) + 1
        job.parameters = {**job.parameters, _BROKEN_STARTS: count}
        return count


def count_running() -> int:
    """Return how many jobs are running now."""
    return db.session.scalar(select(func.count()).select_from(Job).where(Job.status == "running")) or 0


def paginate(query: Select[T], page: int, per_page: int) -> Page[T]:
    """Return one page of a query's rows; a page out of range is brought into it."""
    total = db.session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    last = max(1, -(-total // per_page))
    number = min(max(page, 1), last)
    items = list(db.session.scalars(query.limit(per_page).offset((number - 1) * per_page)))
    return Page(items, number, per_page, total)


def add_job(session: Session, **values: Any) -> Job:
    """Add a queued job of a kind that has its own service (restores); inside a writing transaction."""
    return _add(session, **values)


def _add(session: Session, **values: Any) -> Job:
    job = Job(**values)
    session.add(job)
    session.flush()
    return job


def _refuse_second(session: Session, config: Config) -> None:
    pending = session.scalar(_pending_backup(config.id))
    if pending is not None:
        raise Conflict(
            f"{config.name} is being backed up already: job {pending.id} is {pending.status}.",
            "Wait until it has ended, or cancel it.",
        )


def _pending_backup(config_id: str) -> Select[Job]:
    return (
        select(Job).where(Job.kind == "backup", Job.config_id == config_id, Job.status.in_(PENDING)).limit(1)
    )


def _cancel_queued(job: Job) -> None:
    job.status = "cancelled"
    job.phase = ""
    job.ended_at = utc_now()
    job.summary = "Cancelled before it began."
    job.meaning = "Nothing was read or written."
