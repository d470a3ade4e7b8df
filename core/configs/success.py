"""How backups went over the last days, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from core.db import db, utc_now
from core.models import Copy, Job, ScheduledRun
from core.points.points import live

SPANS = (7, 30, 90)
_GOOD = ("completed", "warning")
_BAD = ("failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of the backups that ended within `days`; a missed run counts as a failure."""

    days: int
    good: int
    bad: int
    missed: int

    @property
    def rate(self) -> float | None:
        """The share of good ones, 0 to 1; None if there were none at all."""
        total = self.good + self.bad + self.missed
        return self.good / total if total else None


def rates(now: datetime | None = None) -> list[Rate]:
    """Return the rates over 7, 30 and 90 days."""
    return [rate(days, now) for days in SPANS]


def good_points() -> int:
    """Return how many good points there are."""
    return db.session.scalar(select(func.count(Copy.point_id.distinct())).where(live())) or 0


def rate(days: int, now: datetime | None = None) -> Rate:
    """Return the rate over so many days."""
    now = now or utc_now()
    since = now - timedelta(days=days)
    ended = (
        select(Job.status, func.count())
        .where(Job.kind == "backup", Job.ended_at >= since, Job.ended_at <= now)
        .group_by(Job.status)
    )
    counts = {row[0]: row[1] for row in db.session.execute(ended)}
    missed = select(func.count(ScheduledRun.id)).where(
        ScheduledRun.job_id.is_(None), ScheduledRun.due_at >= since, ScheduledRun.due_at <= now
    )
    return Rate(
        days,
        sum(counts.get(status, 0) for status in _GOOD),
        sum(counts.get(status, 0) for status in _BAD),
        db.session.scalar(missed) or 0,
    )
