"""Numbers of a config, and its strip of days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from core import objectives, points, run_times
from core.db import UtcDateTime, db, utc_now
from core.models import Config, Job, Point, ScheduledRun
from core.objectives import Measured

Cell = Literal["good", "warning", "failed", "missed", "none"]

CELLS: dict[str, Cell] = {
    "completed": "good",
    "warning": "warning",
    "failed": "failed",
    "interrupted": "failed",
}
# The worst of a day is shown. Cancelled by a person is no outcome.
_RANK: tuple[Cell, ...] = ("none", "good", "warning", "missed", "failed")


@dataclass(frozen=True, slots=True)
class Day:
    """One cell of the strip: the worst that happened on a day of the config's own time zone."""

    day: date
    status: Cell
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers of one config. None is unknown or never, and is shown as that."""

    last_good: Point | None
    next_run: datetime | None
    good_points: int
    source_bytes: int | None
    stored_bytes: int
    restore_time: Measured | None = None


def strip(config: Config, days: int = 30, now: datetime | None = None) -> list[Day]:
    """Return the last `days` days, the oldest first, today last."""
    zone = ZoneInfo(config.timezone)
    today = (now or utc_now()).astimezone(zone).date()
    cells = {today - timedelta(days=back): Day(today - timedelta(days=back), "none") for back in range(days)}
    since = datetime.combine(today - timedelta(days=days), datetime.min.time(), zone)
    for moment, status, job_id in [*_ended_runs(config, since), *_missed_runs(config, since)]:
        day = moment.astimezone(zone).date()
        if day in cells and _RANK.index(status) >= _RANK.index(cells[day].status):
            cells[day] = Day(day, status, job_id)
    return [cells[day] for day in sorted(cells)]


def facts(config: Config, now: datetime | None = None) -> Facts:
    """Return the numbers of a config."""
    sums = select(func.count(Point.id), func.coalesce(func.sum(Point.bytes_added), 0)).where(
        Point.config_id == config.id, Point.copies.any(points.live())
    )
    good_points, stored_bytes = db.session.execute(sums).one()
    last_good = points.latest(config.id)
    upcoming = run_times.upcoming(run_times.of(config), 1, now or utc_now()) if config.enabled else []
    return Facts(
        last_good=last_good,
        next_run=upcoming[0] if upcoming else None,
        good_points=good_points,
        source_bytes=last_good.bytes if last_good else None,
        stored_bytes=int(stored_bytes),
        restore_time=objectives.latest(config),
    )


def _ended_runs(config: Config, since: datetime) -> list[tuple[datetime, Cell, int | None]]:
    began = func.coalesce(Job.started_at, Job.created_at, type_=UtcDateTime())
    query = select(began, Job.status, Job.id).where(
        Job.config_id == config.id, Job.kind == "backup", Job.status.in_(CELLS), Job.ended_at >= since
    )
    return [(at, CELLS[status], job_id) for at, status, job_id in db.session.execute(query.order_by(Job.id))]


def _missed_runs(config: Config, since: datetime) -> list[tuple[datetime, Cell, int | None]]:
    query = select(ScheduledRun.due_at).where(
        ScheduledRun.config_id == config.id, ScheduledRun.job_id.is_(None), ScheduledRun.due_at >= since
    )
    return [(due_at, "missed", None) for due_at in db.session.scalars(query)]
