"""The newest rows of configs: a handful of queries, however many configs there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased, load_only

from core.db import db
from core.models import Config, Job, Point, ScheduledRun
from core.models.job import PENDING
from core.points import points

GOOD = ("completed", "warning")
# Cancelled by a person is no outcome.
OUTCOMES = (*GOOD, "failed", "interrupted")

_FEW = 10

Row = TypeVar("Row", Point, Job, ScheduledRun)
# What pages with hundreds of configs ask of each; anything else is read when somebody asks for it.
_SHORT = {
    Point: [
        load_only(
            Point.id, Point.config_id, Point.job_id, Point.taken_at, Point.files, Point.bytes,
            Point.bytes_added, Point.warnings, Point.created_at,
        )
    ],
    Job: [
        load_only(
            Job.id, Job.config_id, Job.kind, Job.status, Job.created_at, Job.started_at, Job.ended_at,
            Job.summary, Job.waiting_reason,
        )
    ],
    ScheduledRun: [
        load_only(
            ScheduledRun.id, ScheduledRun.config_id, ScheduledRun.due_at, ScheduledRun.job_id,
            ScheduledRun.missed_reason,
        )
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Latest:
    """Of one config: the newest good point, the newest backup that is queued or runs, the one that ended
    last, when one last ended well, and the newest run of the schedule that was noted."""

    point: Point | None
    pending: Job | None
    ended: Job | None
    good_at: datetime | None
    noted: ScheduledRun | None


def of(configs: Iterable[Config], now: datetime) -> dict[str, Latest]:
    """Return what is known of each config, by its id. What is dated after `now` does not count."""
    ids = [config.id for config in configs]
    point, pending = good_points(ids, now), _pending(ids)
    ended, good_at = _newest(Job, ids, _ended(OUTCOMES, now)), _ended_well(ids, now)
    noted = _newest(ScheduledRun, ids, _noted(now))
    return {
        each: Latest(point.get(each), pending.get(each), ended.get(each), good_at.get(each), noted.get(each))
        for each in ids
    }


def good_points(ids: Sequence[str], now: datetime) -> dict[str, Point]:
    """Return the newest good point of each of these configs that has one."""
    return _newest(Point, ids, _points(now))


def ended_well(ids: Sequence[str]) -> dict[str, Job]:
    """Return the newest backup of each of these configs that ended well."""
    job = aliased(Job)
    query = select(job.id).where(
        job.config_id == Config.id, job.kind == "backup", job.status.in_(GOOD), job.ended_at.is_not(None)
    )
    return _newest(Job, ids, query.order_by(job.ended_at.desc(), job.id.desc()))


def _newest(row: type[Row], ids: Sequence[str], of_config: Select[int]) -> dict[str, Row]:
    """Return the rows that `of_config` picks for each config: a look into an index each, in one query.

    Only in short: making whole rows of hundreds took the most time.
    """
    query = (
        select(row)
        .options(*_SHORT[row])
        .join(Config, row.id == of_config.limit(1).correlate(Config).scalar_subquery())
    )
    found = db.session.scalars(query.where(Config.id.in_(ids)))
    return {each.config_id: each for each in found if each.config_id is not None}


def _points(now: datetime) -> Select[int]:
    point = aliased(Point)
    is_good = point.copies.any(points.live())
    query = select(point.id).where(
        point.config_id == Config.id, is_good, point.taken_at <= now + points.CLOCK_SLACK
    )
    return query.order_by(point.taken_at.desc(), point.id.desc())


def _ended(statuses: Sequence[str], now: datetime) -> Select[int]:
    job = aliased(Job)
    query = select(job.id).where(
        job.config_id == Config.id, job.kind == "backup", job.status.in_(statuses), job.ended_at <= now
    )
    return query.order_by(job.ended_at.desc(), job.id.desc())


def _ended_well(ids: Sequence[str], now: datetime) -> dict[str, datetime | None]:
    job = aliased(Job)
    query = select(job.ended_at).where(
        job.config_id == Config.id, job.kind == "backup", job.status.in_(GOOD), job.ended_at <= now
    )
    newest = query.order_by(job.ended_at.desc()).limit(1).correlate(Config).scalar_subquery()
    rows = db.session.execute(select(Config.id, newest).where(Config.id.in_(ids)))
    return {str(config_id): ended_at for config_id, ended_at in rows}


def _noted(now: datetime) -> Select[int]:
    run = aliased(ScheduledRun)
    query = select(run.id).where(run.config_id == Config.id, run.due_at <= now)
    return query.order_by(run.due_at.desc())


def _pending(ids: Sequence[str]) -> dict[str, Job]:
    query = select(Job).where(Job.status.in_(PENDING), Job.kind == "backup")
    if len(ids) <= _FEW:
        query = query.where(Job.config_id.in_(ids))
    # Of many sorted out here: by the configs, SQLite would take an index that leads it through every job.
    wanted = set(ids)
    found = db.session.scalars(query.options(*_SHORT[Job]).order_by(Job.id))
    return {job.config_id: job for job in found if job.config_id in wanted}
