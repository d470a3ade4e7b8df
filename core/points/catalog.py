"""How much of the points the catalog knows: what search does not know, it has to say."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import Select, func, select

from core.db import db
from core.models import Copy, Point
from core.points import catalog_file, catalog_fill

# Knuth's multiplicative hash: two different sets of ids do not come to the same sum by chance.
_FACTOR, _RANGE = 2_654_435_761, 2**32


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
    with catalog_file.reading() as connection:
        if not config_id and (number := _all_of(connection)) is not None:
            return Coverage(number, number, catalog_fill.trouble())
        known = catalog_fill.catalogued(connection)
    query = _there()
    if config_id:
        query = query.join(Point).where(Point.config_id == config_id)
    there = set(db.session.scalars(query))
    return Coverage(len(there), len(there & known), catalog_fill.trouble())


def _there() -> Select[int]:
    return select(Copy.point_id).where(Copy.forgotten_at.is_(None), Copy.lost_at.is_(None)).distinct()


def _all_of(connection: sqlite3.Connection) -> int | None:
    """Return how many points there are if the catalog has just those: their number and two sums of their ids
    are the same. To compare each id takes a page's time where there are many."""
    ids = _there().subquery()
    spread = ids.c.point_id * _FACTOR % _RANGE
    there = db.session.execute(
        select(
            func.count(), func.coalesce(func.sum(ids.c.point_id), 0), func.coalesce(func.sum(spread), 0)
        ).select_from(ids)
    ).one()
    known = connection.execute(
        "SELECT count(*), coalesce(sum(point_id), 0), coalesce(sum(point_id * ? % ?), 0) FROM roots",
        (_FACTOR, _RANGE),
    ).fetchone()
    return int(there[0]) if tuple(map(int, there)) == known else None
