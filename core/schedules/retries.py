"""Scheduled backups that failed are tried again by themselves, as often and as late as their config says."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from core.configs import timing
from core.db import db, write
from core.errors import Conflict, NotFound
from core.jobs import jobs
from core.models import Config, Job
from core.points import points
from core.schedules import run_times

TRIGGER = "retry"
_NUMBER = "retry"
_BY_THEMSELVES = ("schedule", TRIGGER)
_BAD = ("failed", "interrupted")


def tick(now: datetime) -> list[int]:
    """Make the retries that are due; return their jobs."""
    found: list[int] = []
    for config in db.session.scalars(select(Config).where(Config.deleted_at.is_(None), Config.enabled)).all():
        job = _newest(config.id)
        if job is not None and _is_due(job, now):
            found += _start(config.id, number_of(job) + 1)
    return found


def at(job: Job) -> datetime | None:
    """Return when a job that ended badly is tried again by itself, out of quiet hours; None if it is not."""
    config = job.config
    if config is None or config.deleted_at is not None or not config.enabled or job.ended_at is None:
        return None
    if job.kind != "backup" or job.trigger not in _BY_THEMSELVES or job.status not in _BAD:
        return None
    retries = timing.of(config).retries
    if number_of(job) >= retries.count:
        return None
    return run_times.free_from(config, job.ended_at + timedelta(seconds=retries.delay_s))


def number_of(job: Job) -> int:
    """Return the how-many-th retry a job is; 0 for a first run."""
    return int(job.parameters.get(_NUMBER, 0))


def _newest(config_id: str) -> Job | None:
    query = select(Job).where(Job.kind == "backup", Job.config_id == config_id)
    return db.session.scalar(query.order_by(Job.id.desc()).limit(1))


def _is_due(job: Job, now: datetime) -> bool:
    due_at, config = at(job), job.config
    if due_at is None or job.ended_at is None or config is None or run_times.is_quiet(config, now):
        return False
    # One that ended in the future ended under a wrong clock.
    return now >= due_at or job.ended_at > now + points.CLOCK_SLACK


def _start(config_id: str, number: int) -> list[int]:
    try:
        with write() as session:
            job = jobs.add_backup(session, config_id, TRIGGER)
            job.parameters = {**job.parameters, _NUMBER: number}
            return [job.id]
    except (Conflict, NotFound):
        return []  # somebody else has just made one, or deleted the config
