"""When configs are due, and what the minute tick makes of it: jobs, each run once, and what was missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import clock
from core.alerting import alerts
from core.db import db, write
from core.errors import Conflict, NotFound
from core.jobs import jobs
from core.models import Config, Job, ScheduledRun
from core.points import points
from core.schedules import fire_times, limits, pause, run_times

# An outage of a year, or of a thousand runs, is told no more exactly than this.
LONGEST_OUTAGE = timedelta(days=366)
MOST_MISSED = 1000
# Runs noted for later than this from now were noted while the clock was ahead.
CLOCK_SLACK = timedelta(minutes=10)

_DOWN = "Holdfast was not running at that time."


@dataclass(frozen=True, slots=True)
class Due:
    """A config whose schedule asks for a run now: at `due_at`, the newest of its due times; the older ones
    that nobody ran are `missed`, in order, without those that fell into a pause."""

    config_id: str
    due_at: datetime
    missed: Sequence[datetime]


def due(now: datetime) -> list[Due]:
    """Return the configs that are due, however long nobody asked: each once. Writes nothing."""
    configs = db.session.scalars(select(Config).where(_is_scheduled())).all()
    return [found for config in configs if (found := _due_of(config, now)) is not None]


def tick(now: datetime) -> list[int]:
    """Make the jobs that are due and note the missed runs; return all job ids that belong in the queue.

    Safe from several processes at once, and with a clock that jumps.
    """
    db.session.rollback()  # see what others have written since the last tick
    _forget_what_the_clock_made_up(now)
    if pause.active(now) is None:
        _run_what_is_due(now)
    _resolve_missed()
    return jobs.to_enqueue(now)


def _run_what_is_due(now: datetime) -> None:
    for config in db.session.scalars(select(Config).where(_is_scheduled())).all():
        _run_if_due(config, now)


def _run_if_due(config: Config, now: datetime) -> None:
    """Start a config that is due; one whose schedule cannot be read must not keep the others from running."""
    subject, config_id, name = f"schedule:{config.id}", config.id, config.name
    try:
        found = _due_of(config, now)
    except fire_times.UNREADABLE as error:
        what = f"The schedule of {name} cannot be read: {error}."
        meaning, advice = (
            "It is not backed up by itself.",
            "Edit the config and choose its time and zone anew.",
        )
        alerts.raise_alert(subject, "missed", "error", what, meaning, advice, config_id=config_id)
        return
    if found is not None:
        alerts.resolve(subject)
        _start(found)


def _due_of(config: Config, now: datetime) -> Due | None:
    if run_times.is_quiet(config, now):
        return None  # what was not run before is made up for when they end
    runs = deque(run_times.between(run_times.of(config), _asked_until(config, now), now), MOST_MISSED + 1)
    if not runs:
        return None
    newest, pauses = runs.pop(), pause.remembered()
    return Due(config.id, newest, [due_at for due_at in runs if not pause.was_paused(due_at, pauses)])


def _is_scheduled() -> ColumnElement[bool]:
    return and_(
        Config.enabled, Config.deleted_at.is_(None), Config.cron != "", Config.scheduled_since.is_not(None)
    )


def _asked_until(config: Config, now: datetime) -> datetime:
    """Return up to when the due times of a config have been looked at."""
    noted = select(func.max(ScheduledRun.due_at)).where(
        ScheduledRun.config_id == config.id, ScheduledRun.due_at <= now
    )
    times = [config.scheduled_since, db.session.scalar(noted), now - LONGEST_OUTAGE]
    return max(time for time in times if time is not None)


def _start(found: Due) -> None:
    """Note the runs of one config in one transaction, make the job, and alert about what was missed."""
    try:
        with write() as session:
            missed = _note_runs(session, found)
            if missed:
                _alert_missed(session, found.config_id, missed)
    except IntegrityError:
        return  # another process ticked at the same moment and has noted all of it


def _note_runs(session: Session, found: Due) -> dict[datetime, str]:
    """Add the rows of these runs and the job of the newest; return the missed ones with the reason."""
    newest = ScheduledRun(config_id=found.config_id, due_at=found.due_at)
    if session.scalar(select(ScheduledRun.id).where(_is_run(newest))) is not None:
        return {}
    missed = dict.fromkeys(found.missed, _DOWN)
    try:
        newest.job_id = jobs.add_backup(session, found.config_id, "schedule", found.due_at).id
        session.add(newest)
    except Conflict as error:
        newest.job_id = _held_back_until(session, found)
        if newest.job_id is None:
            missed[found.due_at] = f"{error.message} No second one was started."
        else:
            session.add(newest)
    except NotFound:
        return {}  # deleted since it was found
    for due_at, reason in missed.items():
        session.add(ScheduledRun(config_id=found.config_id, due_at=due_at, missed_reason=reason))
    return missed


def _held_back_until(session: Session, found: Due) -> int | None:
    """Return the job that waited for the quiet hours to end which end with this run: it does for both."""
    job = session.scalar(
        select(Job).where(Job.kind == "backup", Job.config_id == found.config_id, Job.status == "queued")
    )
    just_before = found.due_at - timedelta(minutes=1)
    return job.id if job is not None and limits.quiet_until(job, just_before) else None


def _is_run(run: ScheduledRun) -> ColumnElement[bool]:
    return and_(ScheduledRun.config_id == run.config_id, ScheduledRun.due_at == run.due_at)


def _alert_missed(session: Session, config_id: str, missed: dict[datetime, str]) -> None:
    config = session.get_one(Config, config_id)
    last = max(missed)
    when = last.astimezone(ZoneInfo(config.timezone)).strftime("%Y-%m-%d %H:%M")
    runs = (
        f"the run of {when}" if len(missed) == 1 else f"{len(missed)} runs, the last of them that of {when},"
    )
    alerts.raise_in(
        session,
        f"missed:{config_id}",
        kind="missed",
        severity="warning",
        what=f"{config.name} missed {runs} ({config.timezone}). {missed[last]}",
        meaning="What changed between the last backup and the next one may not be kept in every state.",
        advice="See that the worker runs all the time, and that backups end before the next one is due. "
        "One run is made up for by itself.",
        detail="",
        config_id=config_id,
    )


def _resolve_missed() -> None:
    for alert in alerts.list_open():
        if alert.kind == "missed" and alert.config_id is not None:
            point = points.latest(alert.config_id)
            if point is not None and point.taken_at > alert.last_at:
                alerts.resolve(alert.subject)


def _forget_what_the_clock_made_up(now: datetime) -> None:
    """Forget runs noted for times to come: the clock was ahead, and they would block the real ones.

    Not while the clock itself may be behind: then all that was noted would seem to be to come.
    """
    ahead = now + CLOCK_SLACK
    if db.session.scalar(select(ScheduledRun.id).where(ScheduledRun.due_at > ahead).limit(1)) is None and (
        db.session.scalar(select(Config.id).where(Config.scheduled_since > ahead).limit(1)) is None
    ):
        return
    trusted = clock.jump() is None
    with write() as session:
        if trusted:
            session.execute(delete(ScheduledRun).where(ScheduledRun.due_at > ahead))
        session.execute(update(Config).where(Config.scheduled_since > ahead).values(scheduled_since=now))
