"""Numbers of a config, and its strip of days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from core.configs import latest, objectives
from core.configs.objectives import Measured
from core.db import UtcDateTime, db, utc_now
from core.models import Config, Copy, Job, Point, ScheduledRun
from core.points import points
from core.schedules import run_times

Cell = Literal["good", "warning", "failed", "missed", "none"]

CELLS: dict[str, Cell] = {
    "completed": "good",
    "warning": "warning",
    "failed": "failed",
    "interrupted": "failed",
}
# Of more configs than that, the good points of all are counted.
_MANY = 50
# The worst of a day is shown. Cancelled by a person is no outcome.
_RANK: tuple[Cell, ...] = ("none", "good", "warning", "missed", "failed")


@dataclass(frozen=True, slots=True)
class Day:
    """One cell of the strip: the worst that happened on a day of the config's own time zone."""

    day: date
    status: Cell
    job_id: int | None = None


class _Run(NamedTuple):
    at: datetime
    status: Cell
    job_id: int | None


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
    return strips([config], days, now)[config.id]


def strips(shown: Sequence[Config], days: int = 30, now: datetime | None = None) -> dict[str, list[Day]]:
    """Return the strip of each config, by its id."""
    now = now or utc_now()
    runs: dict[str, list[_Run]] = {config.id: [] for config in shown}
    since = now - timedelta(days=days + 1)  # a day of some zone may have begun so early
    for config_id, run in [*_ended_runs(list(runs), since), *_missed_runs(list(runs), since)]:
        runs[config_id].append(run)
    return {config.id: _cells(config, runs[config.id], days, now) for config in shown}


def _cells(config: Config, runs: Sequence[_Run], days: int, now: datetime) -> list[Day]:
    zone = ZoneInfo(config.timezone)
    today = now.astimezone(zone).date()
    cells = {today - timedelta(days=back): Day(today - timedelta(days=back), "none") for back in range(days)}
    for run in runs:
        day = run.at.astimezone(zone).date()
        if day in cells and _RANK.index(run.status) >= _RANK.index(cells[day].status):
            cells[day] = Day(day, run.status, run.job_id)
    return [cells[day] for day in sorted(cells)]


def facts(config: Config, now: datetime | None = None) -> Facts:
    """Return the numbers of a config, with its measured time to restore."""
    return replace(facts_of([config], now)[config.id], restore_time=objectives.latest(config))


def facts_of(
    shown: Sequence[Config], now: datetime | None = None, newest: Mapping[str, Point] | None = None
) -> dict[str, Facts]:
    """Return the numbers of each config, by its id, without the time to restore.

    `newest`: the newest good point of each, from a caller that has them already.
    """
    now = now or utc_now()
    ids = [config.id for config in shown]
    newest = latest.good_points(ids, now) if newest is None else newest
    sums = _sums(ids)
    return {
        config.id: _facts(config, newest.get(config.id), sums.get(config.id, (0, 0)), now) for config in shown
    }


def _facts(config: Config, last_good: Point | None, sums: tuple[int, int], now: datetime) -> Facts:
    upcoming = run_times.upcoming(run_times.of(config), 1, now) if config.enabled else []
    return Facts(
        last_good=last_good,
        next_run=upcoming[0] if upcoming else None,
        good_points=sums[0],
        source_bytes=last_good.bytes if last_good else None,
        stored_bytes=sums[1],
    )


def _sums(ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return how many good points each config has, and what they added."""
    query = select(Point.config_id, func.count(Point.id), func.coalesce(func.sum(Point.bytes_added), 0))
    if len(ids) <= _MANY:
        query = query.where(Point.config_id.in_(ids), Point.copies.any(points.live()))
    else:  # one walk through an index of copies, where else each point would be asked for its own
        good = select(Copy.point_id).where(points.live()).distinct().subquery()
        query = query.join(good, good.c.point_id == Point.id)
    rows = db.session.execute(query.group_by(Point.config_id))
    return {str(config_id): (count, int(added)) for config_id, count, added in rows}


def _ended_runs(ids: Sequence[str], since: datetime) -> list[tuple[str, _Run]]:
    began = func.coalesce(Job.started_at, Job.created_at, type_=UtcDateTime())
    query = select(Job.config_id, began, Job.status, Job.id).where(
        Job.config_id.in_(ids), Job.kind == "backup", Job.ended_at >= since
    )
    rows = db.session.execute(query.order_by(Job.ended_at, Job.id))
    # Sorted out here: by the status, SQLite would take an index that leads it through every job.
    return [
        (str(config_id), _Run(at, CELLS[how], job_id)) for config_id, at, how, job_id in rows if how in CELLS
    ]


def _missed_runs(ids: Sequence[str], since: datetime) -> list[tuple[str, _Run]]:
    query = select(ScheduledRun.config_id, ScheduledRun.due_at).where(
        ScheduledRun.config_id.in_(ids), ScheduledRun.job_id.is_(None), ScheduledRun.due_at >= since
    )
    return [(config_id, _Run(due_at, "missed", None)) for config_id, due_at in db.session.execute(query)]
