"""The copy of a point that a restore reads: the first whose storage answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core import points, providers, storages
from core.attempts import Attempt
from core.db import db
from core.errors import NotFound, Unreachable
from core.models import Copy, Point
from repository.repository import Repository


@dataclass(frozen=True, slots=True)
class RestoreSource:
    """The copy that is read. `told`: which one that is, where there are several."""

    copy_id: int
    name: str  # of its storage
    snapshot_id: bytes
    told: str


def copies_to_try(point: Point, chosen: int | None) -> tuple[int, ...]:
    """Return the copies to try, in this order; only the one that a person has chosen. Raises NotFound."""
    best = points.best_copy(point, chosen)
    return tuple(copy.id for copy in ([best] if chosen is not None else points.in_order(point)))


def open_copy(attempt: Attempt, copy_ids: Sequence[int]) -> tuple[RestoreSource, Repository]:
    """Open the first copy whose storage answers; of them all, what is wrong with the best is raised."""
    first: Unreachable | None = None
    for number, copy_id in enumerate(copy_ids, 1):
        copy = db.session.get_one(Copy, copy_id)
        try:
            if number < len(copy_ids):  # there are others: a quick look tells whether to wait for this one
                storages.open_adapter(copy.repository.storage, providers.QUICK).close()
            repo = storages.open_repository(copy.repository)
        except Unreachable as error:
            first = first or error
            attempt.log.add("warning", error.message)
            continue
        name = copy.repository.storage.name
        attempt.log.add("info", f"Reading from {name}, snapshot {copy.snapshot_id[:8]}.")
        return RestoreSource(copy.id, name, bytes.fromhex(copy.snapshot_id), _told(copy)), repo
    raise first or NotFound("The point that was to be restored is gone.", "Choose another one.")


def _told(copy: Copy) -> str:
    live = [other.repository.storage for other in copy.point.copies if points.is_live(other)]
    if len(live) < 2:
        return ""
    names = sorted({storage.name for storage in live if storage.unreachable_since is not None})
    are = "is" if len(names) == 1 else "are"
    away = f"; {' and '.join(names)} {are} unreachable" if names else ""
    return f" Read from {copy.repository.storage.name}{away}."
