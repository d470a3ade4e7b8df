"""One attempt at a job, by one process: claimed, beating, reporting, ended. Every write checks it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.db import db, utc_now, write
from core.errors import HoldfastError
from core.jobs import processes
from core.jobs.flag import Flag
from core.jobs.joblog import LogBook, storable
from core.jobs.outcomes import Outcome
from core.jobs.pace import Pace
from core.models import Job
from core.schedules import limits
from repository.errors import Cancelled
from repository.progress import Progress

BEAT_EVERY_S = 5.0
RETRY_AFTER = timedelta(seconds=60)
WAIT_AT_MOST = timedelta(hours=1)


_log = logging.getLogger(__name__)


class AttemptLost(Exception):
    """The row belongs to another attempt, or has ended: this process may write nothing more about it."""


class Waiting(HoldfastError):
    """The job cannot go on now, and may later: it goes back into the queue, waiting for `message`."""


class WaitingForJob(Waiting):
    """The same, for another job: that one ends sooner or later, so there is no limit to it."""


class TookTooLong(Cancelled):
    """The job was at work for longer than its config lets it; nobody cancelled it."""


class Stopped(Cancelled):
    """The process was told to end (a shutdown, a service stop); nobody cancelled the job."""


@dataclass(slots=True)
class Attempt:
    """A claimed job. Its callbacks may be called from any thread; only `pulse` and `finish` write the row.

    `context` makes the database usable in the thread that calls (a Flask app context).
    """

    job_id: int
    number: int
    context: Callable[[], AbstractContextManager[object]] = nullcontext
    log: LogBook = field(default_factory=LogBook)
    cancelled: threading.Event = field(default_factory=threading.Event)
    stopped: Flag = field(default_factory=Flag)
    lost: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    writing: threading.Lock = field(default_factory=threading.Lock)
    progress: Progress | None = None
    pace: Pace = field(default_factory=Pace)
    deadline_s: float | None = None  # by time.monotonic
    _written: Progress | None = None
    _told: dict[str, object] = field(default_factory=dict)
    _beat_at: float = 0.0

    def end_after(self, seconds: int | None) -> None:
        """Let the work end, with TookTooLong, if it goes on for longer than this from now; None: it may."""
        self.deadline_s = None if seconds is None else time.monotonic() + seconds

    def report(self, progress: Progress) -> None:
        """Take the engine's progress; cheap. Raises what `check` does to end the work."""
        self.progress = progress
        self.check()

    def check(self) -> None:
        """Raise Cancelled, Stopped, TookTooLong or AttemptLost if the work must end."""
        if self.lost.is_set():
            raise AttemptLost(f"job {self.job_id} is no longer ours (attempt {self.number})")
        if self.cancelled.is_set():
            raise Cancelled("cancelled on request")
        if self.stopped.is_set():
            raise Stopped("the process was told to end")
        if self.deadline_s is not None and time.monotonic() > self.deadline_s:
            raise TookTooLong("it took longer than it may")

    def hold_lock(self, lock_id: str) -> None:
        """Note the id of the lock file that this job holds, so that it can be removed if we are killed."""
        try:
            with self.context(), write() as session:
                _update(session, self, lock_id=lock_id)
        except AttemptLost:
            self.lost.set()  # the work ends at its next report, and the lock with it
        except SQLAlchemyError as error:
            # It may be called by the thread that keeps the lock fresh: that must go on.
            _log.warning(
                "job %s holds the lock %s, which could not be noted: %s", self.job_id, lock_id, error
            )


def claim(job_id: int, context: Callable[[], AbstractContextManager[object]] = nullcontext) -> Attempt | None:
    """Take a queued job for this process. None if it is not queued, not yet due, or taken by another."""
    me = processes.this_process()
    now = utc_now()
    with write() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.status != "queued" or (job.not_before is not None and job.not_before > now):
            return None
        if reason := limits.why_not(session, job):
            limits.put_off(job, reason)
            return None
        job.status = "running"
        job.attempt += 1
        job.node, job.boot_id, job.pid, job.pid_started = me.node, me.boot_id, me.pid, me.pid_started
        job.started_at, job.progressed_at = now, now
        job.heartbeat_at = database_now(session)
        job.not_before, job.phase, job.waiting_reason = None, "starting", ""
        return Attempt(job.id, job.attempt, context)


def pulse(attempt: Attempt) -> None:
    """Write the heartbeat, the newest progress and the log so far; learn of a cancel request.

    Call it every second or so in a thread of its own. AttemptLost is not raised, but noted in `attempt.lost`.
    """
    progress = attempt.progress
    try:
        with attempt.writing:
            asked = _write_pulse(attempt, progress)
            attempt.log.written()
    except AttemptLost:
        attempt.lost.set()
        return
    attempt._written = progress
    if asked:
        attempt.cancelled.set()


def finish(attempt: Attempt, outcome: Outcome, also: Callable[[Session], None] | None = None) -> None:
    """End the job. `also` writes what must be true together with it. Raises AttemptLost."""
    with attempt.writing:
        _write_end(attempt, outcome, also)
        attempt.log.written()


def write_also(attempt: Attempt, also: Callable[[Session], None]) -> None:
    """Write rows on the way, if the job is still ours. Raises AttemptLost; then nothing was written."""
    with write() as session:
        _update(session, attempt, heartbeat_at=database_now(session))
        also(session)


def note_repository(attempt: Attempt, repository_id: str) -> None:
    """Note on the job which repository it writes to. Raises AttemptLost."""
    with write() as session:
        _update(session, attempt, repository_id=repository_id)


def _write_end(attempt: Attempt, outcome: Outcome, also: Callable[[Session], None] | None) -> None:
    with write() as session:
        values = {} if attempt.progress is None else _progress_values(attempt.progress)
        values |= _outcome_values(outcome) | {
            "ended_at": utc_now(), "phase": "", "current_path": "", "bytes_rate": None
        }  # fmt: skip
        _update(session, attempt, **values)
        attempt.log.write(session, attempt.job_id, last=True)
        if also is not None:
            also(session)


def wait_for(attempt: Attempt, reason: str, at_most: timedelta | None = WAIT_AT_MOST) -> bool:
    """Put the job back into the queue, waiting for `reason`. False if it has waited for so long already.

    Raises Cancelled if somebody asked for that meanwhile.
    """
    now = utc_now()
    with attempt.writing, write() as session:
        job = session.get(Job, attempt.job_id)
        since = _waiting_since(job, now) if job is not None else now
        if job is None or (at_most is not None and now - since >= at_most):
            return False
        if job.cancel_requested_at is not None:
            raise Cancelled("cancelled on request")
        limited = {} if at_most is None else {"waiting_since": since.isoformat()}
        parameters = {**job.parameters, **limited}
        _update(
            session, attempt, status="queued", phase="waiting", waiting_reason=reason, enqueued_at=None,
            not_before=now + RETRY_AFTER, parameters=parameters, bytes_rate=None,
        )  # fmt: skip
        attempt.log.write(session, attempt.job_id)
    attempt.lost.set()  # it is the queue's now
    return True


def database_now(session: Session) -> datetime:
    """Return the time by the database's clock, the only one that all nodes share."""
    from_database: datetime | None = session.scalar(select(func.now()))
    if from_database is None:
        raise RuntimeError("the database does not tell the time")
    if from_database.tzinfo is None:
        return from_database.replace(tzinfo=utc_now().tzinfo)
    return from_database


def current(attempt: Attempt) -> Job:
    """Return the row of the job."""
    job = db.session.get(Job, attempt.job_id)
    if job is None:
        raise AttemptLost(f"the row of job {attempt.job_id} is gone")
    return job


def _write_pulse(attempt: Attempt, progress: Progress | None) -> bool:
    """Write one pulse, if there is anything to write; tell whether somebody asked to cancel."""
    asked = select(Job.cancel_requested_at).where(Job.id == attempt.job_id)
    news = progress is not None and progress is not attempt._written
    values = _progress_values(progress) if news and progress is not None else {}
    rate = attempt.pace.note(progress.phase, progress.bytes_done) if progress is not None else None
    if attempt.log or (values and values != attempt._told):
        attempt._told = dict(values) or attempt._told
        values["progressed_at"] = utc_now()
    if not news and not attempt.log and time.monotonic() - attempt._beat_at < BEAT_EVERY_S:
        db.session.rollback()
        return db.session.scalar(asked) is not None
    with write() as session:
        _update(session, attempt, heartbeat_at=database_now(session), bytes_rate=rate, **values)
        attempt.log.write(session, attempt.job_id)
        found = session.scalar(asked)
    attempt._beat_at = time.monotonic()
    return found is not None


def _update(session: Session, attempt: Attempt, **values: object) -> None:
    query = update(Job).where(
        Job.id == attempt.job_id, Job.attempt == attempt.number, Job.status == "running"
    )
    if session.execute(query.values(**values)).rowcount != 1:  # type: ignore[attr-defined]
        raise AttemptLost(f"job {attempt.job_id} is no longer ours (attempt {attempt.number})")


def _progress_values(progress: Progress) -> dict[str, object]:
    return {
        "phase": progress.phase,
        "files_done": progress.files_done,
        "files_total": progress.files_total,
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "bytes_added": progress.bytes_added,
        "current_path": storable(progress.current),
    }


def _outcome_values(outcome: Outcome) -> dict[str, object]:
    return {
        "status": outcome.status,
        "summary": storable(outcome.summary),
        "meaning": storable(outcome.meaning),
        "advice": storable(outcome.advice),
        "detail": storable(outcome.detail),
        "counts": outcome.counts,
        "problems": outcome.problems,
    }


def _waiting_since(job: Job, now: datetime) -> datetime:
    noted = job.parameters.get("waiting_since")
    return datetime.fromisoformat(noted) if noted else now
