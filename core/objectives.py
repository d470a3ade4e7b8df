"""How long restores take, measured, held against the objective of the config's type (RTO)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from core.db import db
from core.models import Config, Job, Point, Restore

RTO: Mapping[str, timedelta] = {
    "database": timedelta(hours=1),
    "files": timedelta(minutes=30),
    "config": timedelta(minutes=15),
    "full": timedelta(hours=4),
}
_LOOKED_AT = 20


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
    return Measured(job.ended_at - job.started_at, RTO[config.type], job.id)


def latest(config: Config) -> Measured | None:
    """Return the newest measurement of a config, if there is one."""
    query = select(Restore).join(Point).join(Job, Restore.job_id == Job.id)
    query = query.where(Point.config_id == config.id, Job.ended_at.is_not(None))
    for restore in db.session.scalars(query.order_by(Restore.id.desc()).limit(_LOOKED_AT)):
        if (found := measured_by(restore)) is not None:
            return found
    return None
