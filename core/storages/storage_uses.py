"""What depends on a storage: which configs use it, and what is stored nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import load_only

from core import words
from core.db import db
from core.models import Config, Copy, Destination, Point, RepositoryRecord, Storage
from core.points import points
from core.storages import storage_jobs, storages

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Uses:
    """What depends on a storage. `only_copies`: how many points have their only good copy there; `newest`
    of these; `orphans`: whether no config looks after some of them."""

    configs: Sequence[Config]
    only_copies: int
    newest: Point | None
    orphans: bool
    copies: int


def uses(storage_id: str) -> Uses:
    """Return what depends on a storage. Raises NotFound.

    Snapshots of no config, which were in an adopted repository before us, are nobody's only copy: they stay
    where they are.
    """
    ids = repository_ids(storages.get(storage_id))
    configs, number = in_short(storage_id)
    total = _count(_only_here(ids, points.live()))
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.live())
    elsewhere = Point.copies.any(Copy.repository_id.not_in(ids) & points.live())
    only = select(Point).where(here, ~elsewhere, Point.config_id.is_not(None))
    newest = db.session.scalar(only.order_by(Point.taken_at.desc()).limit(1)) if total else None
    orphan = db.session.scalar(only.where(points.has_no_config()).limit(1)) if total else None
    return Uses(configs, total, newest, orphan is not None, number)


@dataclass(frozen=True, slots=True)
class Alone:
    """How many points that keep nobody from deleting a storage have their only copy there: those in the
    trash, and snapshots that were there before us."""

    in_trash: int
    foreign: int


def alone_on(storage_id: str) -> Alone:
    """Return what would be in no list any more without a storage, though no config needs it."""
    ids = repository_ids(storages.get(storage_id))
    trashed = _only_here(ids, points.there()).having(func.max(Copy.trashed_at).is_not(None))
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.there())
    elsewhere = Point.copies.any(Copy.repository_id.not_in(ids) & points.there())
    foreign = select(func.count(Point.id)).where(Point.config_id.is_(None), here, ~elsewhere)
    return Alone(_count(trashed), db.session.scalar(foreign) or 0)


def in_short(storage_id: str) -> tuple[Sequence[Config], int]:
    """Return the configs that use a storage, by id and name, and how many good copies it holds.

    Raises NotFound.
    """
    ids = repository_ids(storages.get(storage_id))
    number = select(func.count()).select_from(Copy).where(Copy.repository_id.in_(ids), points.live())
    return _using(ids), db.session.scalar(number) or 0


def why_not_delete(storage_id: str, found: Uses | None = None) -> list[str]:
    """Return what keeps a storage from being deleted, in sentences; empty if nothing does.

    `found`: what depends on it, if that is known already.
    """
    found, reasons = found or uses(storage_id), []
    if found.configs:
        names = [config.name for config in found.configs]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        reasons.append(f"It is a destination of {', '.join(names[:_NAMED])}{more}.")
    if (point := found.newest) is not None:
        name, zone = (point.config.name, point.config.timezone) if point.config else ("no config", "UTC")
        number = words.count(found.only_copies, "point")
        newest = f"the newest is {name}, {words.moment(point.taken_at, zone)}"
        reasons.append(f"It holds the only copy of {number}; {newest}.")
    elif away := _whole_only_away(storage_id):
        names = sorted({other.name for other in away})
        reasons.append(
            f"It holds points whose other copies are all on {' and '.join(names)}, which cannot be reached."
        )
    job = storage_jobs.using(storages.get(storage_id))
    if job is not None:
        reasons.append(f"Job {job.id} is using it.")
    return reasons


def _whole_only_away(storage_id: str) -> Sequence[Storage]:
    """Return the storages out of reach that hold all other copies of a point that is also here.

    That no point is here alone is known already.
    """
    ids = repository_ids(storages.get(storage_id))
    away = select(RepositoryRecord.id).join(Storage).where(
        Storage.unreachable_since.is_not(None), Storage.id != storage_id
    )  # fmt: skip
    lost = db.session.scalars(away).all()
    if not lost:
        return []
    alone = _only_here([*ids, *lost], points.live()).having(_any(Copy.repository_id.in_(ids)))
    there = select(Copy.repository_id).where(
        Copy.point_id.in_(alone), Copy.repository_id.in_(lost), points.live()
    )  # fmt: skip
    query = select(Storage).where(Storage.repositories.any(RepositoryRecord.id.in_(there)))
    return db.session.scalars(query.order_by(Storage.name)).all()


def _only_here(repository_ids: Sequence[str], state: ColumnElement[bool]) -> Select[int]:
    """Return the query for the points of configs whose copies in this state are all in these repositories.

    By one walk through an index of copies: asking of each point for its copies takes ten times as long.
    """
    foreign = select(Point.id).where(Point.config_id.is_(None))
    query = select(Copy.point_id).where(state, Copy.point_id.not_in(foreign)).group_by(Copy.point_id)
    return query.having(~_any(Copy.repository_id.not_in(repository_ids)))


def _any(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether a condition holds for any copy of a group."""
    return func.max(case((condition, 1), else_=0)) == 1


def _count(query: Select[int]) -> int:
    return db.session.scalar(select(func.count()).select_from(query.subquery())) or 0


def repository_ids(storage: Storage) -> list[str]:
    """Return the rows of its repositories by id."""
    return [record.id for record in storage.repositories]


def _using(repository_ids: Sequence[str]) -> Sequence[Config]:
    using = select(Config).where(
        Config.destinations.any(Destination.repository_id.in_(repository_ids)), Config.deleted_at.is_(None)
    )
    few = load_only(Config.id, Config.name)
    return db.session.scalars(using.options(few).order_by(func.lower(Config.name))).all()
