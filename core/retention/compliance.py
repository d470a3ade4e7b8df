"""Whether a destination holds what its rule keeps, and nothing that should have left long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select

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

    `overdue`: points that a clean-up should have removed by now. `lasting`: copies in the trash for too long.
    `lacking`: whether points are missing that should have been copied by now.
    """

    destination: Destination
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
        Compliance(row, _overdue(config, row, good, now), _lasting(config, row, now), row.id in late)
        for row in config.destinations
    ]


def share(configs: Sequence[Config], now: datetime | None = None) -> float | None:
    """Return the share of destinations that comply; None if there are none."""
    found = [each.complies for config in configs for each in of(config, now)]
    return sum(found) / len(found) if found else None


def _overdue(config: Config, row: Destination, good: Sequence[Point], now: datetime) -> list[Point]:
    """Return what the rule keeps no longer, if a clean-up has looked at it since and left it there, or should
    have looked a day ago."""
    plan = retention.plan(config, destination=row, good=good)
    leaving = [each.point for each in plan if not each.keep]
    if not leaving:
        return []
    changed_at = max(config.updated_at, *(point.created_at for point in good))
    looked = select(Job.id).where(
        Job.kind == "retention", Job.status.in_(_RAN), Job.started_at > changed_at,
        or_(Job.config_id.is_(None), Job.config_id == config.id),
    )  # fmt: skip
    was_looked_at = db.session.scalar(looked.limit(1)) is not None
    return leaving if was_looked_at or now - changed_at > 2 * SLACK else []


def _lasting(config: Config, row: Destination, now: datetime) -> int:
    query = select(Copy.id).join(Point).where(
        Point.config_id == config.id, Copy.repository_id == row.repository_id,
        Copy.trashed_at <= now - retention.TRASH_FOR - SLACK - SLACK,
        Copy.forgotten_at.is_(None), Copy.lost_at.is_(None),
    )  # fmt: skip
    return len(db.session.scalars(query).all())
