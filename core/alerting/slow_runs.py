"""Backups that take much longer than they used to: told while they run, resolved by the next usual one."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import select

from core import words
from core.alerting import alerts
from core.configs import configs
from core.db import db, utc_now
from core.models import Config, Job, Point

NEEDED = 5
LOOKED_AT = 20
FACTOR = 3
# Nobody is woken for a run of two minutes instead of half a one.
AT_LEAST = timedelta(minutes=10)
_GOOD = ("completed", "warning")


def watch(now: datetime | None = None) -> None:
    """Alert about each config whose present or last backup is slow; resolve what is not any more."""
    now = now or utc_now()
    for config in configs.list_all():
        _look(config, now)


def _look(config: Config, now: datetime) -> None:
    subject, job = f"slow:{config.id}", _newest(config)
    if job is None or job.started_at is None:
        return
    took = (job.ended_at or now) - job.started_at
    usual = _usual(config, job)
    if usual is not None and took > max(FACTOR * usual, usual + AT_LEAST):
        _tell(subject, config, job, took, usual)
    elif job.ended:
        alerts.resolve(subject)


def _newest(config: Config) -> Job | None:
    """Return the backup that runs, or the last that ended well."""
    query = select(Job).where(Job.config_id == config.id, Job.kind == "backup")
    query = query.where(Job.status.in_((*_GOOD, "running")))
    return db.session.scalar(query.order_by(Job.id.desc()).limit(1))


def _usual(config: Config, job: Job) -> timedelta | None:
    """Return how long it usually takes; None while too few are known.

    Backups that read every file are compared with such alone; of one that runs it is not known which it is,
    so the longer of both counts.
    """
    rows = db.session.execute(
        select(Job.started_at, Job.ended_at, Point.full_read)
        .join(Point, Point.job_id == Job.id)
        .where(Job.config_id == config.id, Job.kind == "backup", Job.status.in_(_GOOD), Job.id < job.id)
        .order_by(Job.id.desc())
        .limit(2 * LOOKED_AT)
    ).all()
    spans: dict[bool, list[float]] = {True: [], False: []}
    for started_at, ended_at, full in rows:
        if started_at and ended_at:
            spans[full].append((ended_at - started_at).total_seconds())
    wanted = db.session.scalar(select(Point.full_read).where(Point.job_id == job.id).limit(1))
    kinds = [spans[wanted]] if wanted is not None else [kind for kind in spans.values() if kind]
    if not kinds or any(len(kind) < NEEDED for kind in kinds):
        return None
    return timedelta(seconds=max(median(kind[:LOOKED_AT]) for kind in kinds))


def _tell(subject: str, config: Config, job: Job, took: timedelta, usual: timedelta) -> None:
    if any(alert.subject == subject and alert.job_id == job.id for alert in alerts.list_open()):
        return  # the same run, minute by minute
    does = "took" if job.ended else "has been running for"
    added = job.counts.get("bytes_added_packed", job.bytes_added)
    alerts.raise_alert(
        subject, "slow", "warning",
        f"The backup of {config.name} {does} {_span(took)}; usually it takes {_span(usual)}. "
        f"It read {words.size(job.bytes_done)} and added {words.size(added)}.",
        "Nothing is lost by that. If it grows on, runs will be missed, and restores may be slow as well.",
        "See whether there was much new data; if not, look at disks, network and other jobs of that time.",
        config_id=config.id, job_id=job.id,
    )  # fmt: skip


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    return words.count(minutes, "minute") if minutes < 120 else words.count(minutes // 60, "hour")
