"""How many good points configs have where, and which have all everywhere: by counting, for all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import func, select

from core.db import db
from core.models import Config, Copy, Point
from core.points import points


def whole(configs: Iterable[Config]) -> set[str]:
    """Return the ids of those of which nothing can be missing anywhere."""
    several = [config for config in configs if len(config.destinations) > 1]
    ids = [config.id for config in several]
    if not ids:
        return set()
    totals, there = _totals(ids), by_repository(ids)
    return {config.id for config in several if _has_all(config, totals.get(config.id, 0), there)}


def _has_all(config: Config, total: int, there: Mapping[tuple[str, str], int]) -> bool:
    return all(there.get((config.id, row.repository_id), 0) == total for row in config.destinations)


def _totals(ids: list[str]) -> dict[str, int]:
    query = select(Point.config_id, func.count(Point.id)).where(
        Point.config_id.in_(ids), Point.copies.any(points.live())
    )
    return {str(key): number for key, number in db.session.execute(query.group_by(Point.config_id))}


def by_repository(ids: Collection[str]) -> dict[tuple[str, str], int]:
    """Return how many good points each config has on each repository, by the ids of both; none: not named."""
    query = (
        select(Point.config_id, Copy.repository_id, func.count(Point.id.distinct()))
        .join(Copy, Copy.point_id == Point.id)
        .where(Point.config_id.in_(ids), points.live())
        .group_by(Point.config_id, Copy.repository_id)
    )
    return {(str(key), place): number for key, place, number in db.session.execute(query)}
