"""How old the newest point is (RPO) and how long a restore took (RTO), against their objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import load_only

from core.configs import timing
from core.db import db, utc_now
from core.models import Config, Job, Point, Restore
from core.points import points
from core.schedules import run_times

RTO: Mapping[str, timedelta] = {
    "database": timedelta(hours=1),
    "files": timedelta(minutes=30),
    "config": timedelta(minutes=15),
    "full": timedelta(hours=4),
}
_LOOKED_AT = 20
_GOOD = ("completed", "warning")
# A run takes its time: so much is added to what the schedule leads to.
RPO_GRACE = timedelta(hours=1)
_RUNS_LOOKED_AT = 9


@dataclass(frozen=True, slots=True)
class Measured:
    """How long a whole restore took, and how long it may take."""

    took: timedelta
    objective: timedelta
    job_id: int

    @property
    def met(self) -> bool:
        """Tell whether it was fast enough."""
        return self.took <= self.objective


@dataclass(frozen=True, slots=True)
class Age:
    """How old the newest good point is (None: there is none), and how old it may be (None: nothing says)."""

    age: timedelta | None
    objective: timedelta | None

    @property
    def met(self) -> bool:
        """Tell whether it is new enough; without an objective it is."""
        return self.objective is None or (self.age is not None and self.age <= self.objective)


def rto_of(config: Config) -> timedelta:
    """Return how long a restore of a config may take: as it says itself, or as is usual for its type."""
    own = timing.of(config).objectives.rto
    return RTO[config.type] if own is None else timedelta(seconds=own)


def rpo_of(config: Config, now: datetime | None = None) -> timedelta | None:
    """Return how old the newest point may be: as the config says, or the longest time between its next runs
    and an hour; None for one that runs only by hand."""
    own = timing.of(config).objectives.rpo
    if own is not None:
        return timedelta(seconds=own)
    runs = run_times.upcoming(run_times.of(config), _RUNS_LOOKED_AT, now or utc_now())
    gaps = [later - earlier for earlier, later in pairwise(runs)]
    return max(gaps) + RPO_GRACE if gaps else None


def rpo_now(config: Config, now: datetime | None = None) -> Age:
    """Return how old the newest good point is, beside how old it may be."""
    now = now or utc_now()
    return age_of(config, points.latest(config.id, now), now)


def age_of(config: Config, newest: Point | None, now: datetime) -> Age:
    """Return the same of a config whose newest good point is known."""
    age = None if newest is None else max(now - newest.taken_at, timedelta(0))
    return Age(age, rpo_of(config, now))


def measured_by(restore: Restore) -> Measured | None:
    """Return what a restore measures: nothing if it was of parts, of another form, or did not succeed."""
    if restore.point.config is None:
        return None
    return _measured(restore.point.config, restore.job, restore.include, restore.database)


def latest_of(configs: Sequence[Config]) -> dict[str, Measured]:
    """Return the newest measurement of each config that has one, by its id: one query for all."""
    few = load_only(Job.id, Job.status, Job.started_at, Job.ended_at)
    query = select(Point.config_id, Restore.include, Restore.database, Job).select_from(Restore).options(few)
    query = query.join(Point, Restore.point_id == Point.id).join(Job, Restore.job_id == Job.id)
    by_id, found = {config.id: config for config in configs}, dict[str, Measured]()
    for config_id, include, database, job in db.session.execute(query.order_by(Restore.id.desc())):
        config = by_id.get(str(config_id))
        measured = None if config is None else _measured(config, job, include, database)
        if measured is not None:
            found.setdefault(str(config_id), measured)
    return found


def _measured(
    config: Config, job: Job, include: Mapping[str, Any], database: Mapping[str, Any]
) -> Measured | None:
    if job.status not in _GOOD or include.get("paths") or (config.type == "database") != bool(database):
        return None
    if job.started_at is None or job.ended_at is None:
        return None
    return Measured(job.ended_at - job.started_at, rto_of(config), job.id)


def latest(config: Config) -> Measured | None:
    """Return the newest measurement of a config, if there is one."""
    query = select(Restore).join(Point).join(Job, Restore.job_id == Job.id)
    query = query.where(Point.config_id == config.id, Job.ended_at.is_not(None))
    for restore in db.session.scalars(query.order_by(Restore.id.desc()).limit(_LOOKED_AT)):
        if (found := measured_by(restore)) is not None:
            return found
    return None
