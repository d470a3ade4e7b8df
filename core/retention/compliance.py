"""Whether a destination holds what its rule keeps, and nothing that should have left long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, or_, select

from core import words
from core.backups import copying
from core.db import db, utc_now
from core.models import Config, Copy, Destination, Job, Point
from core.points import points
from core.retention import retention

# The daily clean-up may be late by so much, and the trash, too.
SLACK = timedelta(hours=24)
_RAN = ("completed", "warning")


@dataclass(frozen=True, slots=True)
class Compliance:
    """How a destination stands.

    `points`: how many good ones it has. `overdue`: points that a clean-up should have removed by now.
    `lasting`: copies in the trash for too long. `lacking`: whether points are missing that should have been
    copied by now.
    """

    destination: Destination
    points: int
    overdue: Sequence[Point]
    lasting: int
    lacking: bool

    @property
    def complies(self) -> bool:
        """Tell whether all is as the rule says."""
        return not (self.overdue or self.lasting or self.lacking)

    @property
    def text(self) -> str:
        """Say it."""
        name = self.destination.repository.storage.name
        said = [f"{words.count(len(self.overdue), 'point')} should have been removed"] if self.overdue else []
        said += [f"{words.count(self.lasting, 'point')} should have left the trash"] if self.lasting else []
        said += ["points are missing"] if self.lacking else []
        return f"{name}: {', '.join(said)}." if said else f"{name} holds what its rule keeps."


def of(config: Config, now: datetime | None = None) -> list[Compliance]:
    """Return how each destination of a config stands."""
    now = now or utc_now()
    good = points.good_points(config.id)
    late = {gap.destination.id for gap in copying.gaps(config, now) if gap.late}
    return [
        Compliance(
            row, _count(row, good), _overdue(config, row, good, now), _lasting(config, row, now),
            row.id in late,
        )
        for row in config.destinations
    ]  # fmt: skip


def _count(row: Destination, good: Sequence[Point]) -> int:
    return sum(points.live_copy_on(point, row.repository_id) is not None for point in good)


def _overdue(config: Config, row: Destination, good: Sequence[Point], now: datetime) -> list[Point]:
    """Return what the rule keeps no longer, if a clean-up has looked at it since and left it there, or should
    have removed it a day ago, whatever was backed up since."""
    leaving = _leaving(config, row, good)
    if not leaving:
        return []
    cleaned_at = _cleaned_at(config)
    changed_at = max(config.updated_at, *(point.created_at for point in good))
    if cleaned_at is not None and cleaned_at > changed_at:
        return leaving
    long_ago = now - (SLACK if _last_failed(config) else 2 * SLACK)
    if config.updated_at > long_ago and cleaned_at is not None and cleaned_at > long_ago:
        return []  # the rule may be new
    left_then = {point.id for point in _leaving(config, row, [p for p in good if p.created_at <= long_ago])}
    return [point for point in leaving if point.id in left_then]


def _leaving(config: Config, row: Destination, good: Sequence[Point]) -> list[Point]:
    """Return the points that the rule would let go if these were all good ones."""
    return [each.point for each in retention.plan(config, destination=row, good=good) if not each.keep]


def _cleaned_at(config: Config) -> datetime | None:
    """Return when the newest clean-up began that looked at a config and came to its end."""
    ran = _cleanups(config).where(Job.status.in_(_RAN)).order_by(Job.started_at.desc())
    return db.session.scalar(ran.with_only_columns(Job.started_at).limit(1))


def _last_failed(config: Config) -> bool:
    """Tell whether the newest clean-up of a config that has ended did not come to its end."""
    last = _cleanups(config).where(Job.ended_at.is_not(None), Job.status != "cancelled")
    status = db.session.scalar(last.with_only_columns(Job.status).order_by(Job.id.desc()).limit(1))
    return status is not None and status not in _RAN


def _cleanups(config: Config) -> Select[Job]:
    of_it = or_(Job.config_id.is_(None), Job.config_id == config.id)
    return select(Job).where(Job.kind == "retention", of_it)


def _lasting(config: Config, row: Destination, now: datetime) -> int:
    query = select(Copy.id).join(Point).where(
        Point.config_id == config.id, Copy.repository_id == row.repository_id,
        Copy.trashed_at <= now - retention.TRASH_FOR - SLACK - SLACK,
        Copy.forgotten_at.is_(None), Copy.lost_at.is_(None),
    )  # fmt: skip
    return len(db.session.scalars(query).all())
