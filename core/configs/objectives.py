"""How old the newest point is (RPO) and how long a restore took (RTO), against their objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import select

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
    newest = points.latest(config.id, now)
    age = None if newest is None else max(now - newest.taken_at, timedelta(0))
    return Age(age, rpo_of(config, now))


def measured_by(restore: Restore) -> Measured | None:
    """Return what a restore measures: nothing if it was of parts, of another form, or did not succeed."""
    job, config = restore.job, restore.point.config
    if config is None or job.status not in ("completed", "warning") or restore.include.get("paths"):
        return None
    if (
        (config.type == "database") != bool(restore.database)
        or job.started_at is None
        or job.ended_at is None
    ):
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
