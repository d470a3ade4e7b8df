"""How much of the points the catalog knows: what search does not know, it has to say."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from core.db import db
from core.models import Copy, Point
from core.points import catalog_file, catalog_fill


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many points there are, and how many of them search knows. `trouble`: what kept the last from it."""

    points: int
    catalogued: int
    trouble: str

    @property
    def lacking(self) -> int:
        """How many points search does not know."""
        return self.points - self.catalogued


def coverage(config_id: str | None = None) -> Coverage:
    """Return how much of the points that are there is catalogued, of one config or of all.

    Raises CatalogUnusable.
    """
    query = select(Copy.point_id).where(Copy.forgotten_at.is_(None), Copy.lost_at.is_(None)).distinct()
    if config_id:
        query = query.join(Point).where(Point.config_id == config_id)
    there = set(db.session.scalars(query))
    with catalog_file.opened() as connection:
        known = catalog_fill.catalogued(connection)
    return Coverage(len(there), len(there & known), catalog_fill.trouble())
