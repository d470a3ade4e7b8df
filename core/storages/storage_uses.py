"""What depends on a storage: which configs use it, and what is stored nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

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
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.live())
    elsewhere = Point.copies.any(Copy.repository_id.not_in(ids) & points.live())
    only = select(Point).where(here, ~elsewhere, Point.config_id.is_not(None))
    total = db.session.scalar(only.with_only_columns(func.count(Point.id))) or 0
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
    elsewhere = Point.copies.any(Copy.repository_id.not_in(ids) & points.there())
    here = Copy.repository_id.in_(ids) & points.there()
    number = func.count(Point.id)
    foreign = select(number).where(Point.config_id.is_(None), Point.copies.any(here), ~elsewhere)
    trashed = select(number).where(
        Point.config_id.is_not(None), Point.copies.any(here & Copy.trashed_at.is_not(None)), ~elsewhere
    )
    return Alone(*(db.session.scalar(query) or 0 for query in (trashed, foreign)))


def in_short(storage_id: str) -> tuple[Sequence[Config], int]:
    """Return the configs that use a storage, and how many good copies it holds. Raises NotFound."""
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


def _whole_only_away(storage_id: str) -> list[Storage]:
    """Return the storages out of reach that hold all other copies of a point that is also here."""
    ids = repository_ids(storages.get(storage_id))
    others = Copy.repository_id.not_in(ids) & points.live()
    answers = Copy.repository.has(RepositoryRecord.storage.has(Storage.unreachable_since.is_(None)))
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.live())
    query = select(Point).where(here, ~Point.copies.any(others & answers), Point.config_id.is_not(None))
    return [
        copy.repository.storage
        for point in db.session.scalars(query)
        for copy in point.copies
        if copy.repository_id not in ids and points.is_live(copy)
    ]


def repository_ids(storage: Storage) -> list[str]:
    """Return the rows of its repositories by id."""
    return [record.id for record in storage.repositories]


def _using(repository_ids: Sequence[str]) -> Sequence[Config]:
    using = select(Config).where(
        Config.destinations.any(Destination.repository_id.in_(repository_ids)), Config.deleted_at.is_(None)
    )
    return db.session.scalars(using.order_by(func.lower(Config.name))).all()
