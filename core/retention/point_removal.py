"""Remove points that no config looks after: by an admin's hand, into the trash (trash_contents).

Points of a config that is there are retention's. Those of deleted configs, and snapshots that were in a
repository before us, are removed by nothing and nobody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from core.db import db, utc_now, write
from core.errors import Conflict, NotFound, Refused
from core.models import Config, Job, Point, Restore
from core.models.job import PENDING
from core.points import points
from core.retention import retention, trash


@dataclass(frozen=True, slots=True)
class Removal:
    """What would go to the trash, newest first, and stay there until `until`.

    `staying`: why others of the points asked for cannot go. `only`: how many have no second good copy.
    `braked`: whose points would lose more than half at once, which needs a confirmation of its own.
    """

    leaving: Sequence[Point]
    staying: Sequence[tuple[Point, str]]
    bytes_added: int
    only: int
    braked: Sequence[str]
    until: datetime


def is_of_no_config(point: Point) -> bool:
    """Tell whether no config looks after a point."""
    return point.config is None or point.config.deleted_at is not None


def choose(*, config_id: str | None = None) -> list[int]:
    """Return all good points that no config looks after; of one deleted config, if named."""
    query = select(Point.id).where(points.has_no_config(), Point.copies.any(points.live()))
    if config_id is not None:
        query = query.where(Point.config_id == config_id)
    return list(db.session.scalars(query.order_by(Point.taken_at.desc(), Point.id.desc())))


def look(point_ids: Iterable[int]) -> Removal:
    """Say what removing these points means. Raises NotFound if none of them exists."""
    return _look(db.session(), point_ids)


def remove(point_ids: Iterable[int], by: str, *, confirmed: bool = False) -> Removal:
    """Put these points into the trash of every storage; `by`: whose hand it was. Return what went there.

    Raises NotFound; Refused if nothing of it may go; Conflict (`confirmed`) if that is more than half of the
    points of a config, and was not confirmed: then nothing is removed.
    """
    with write() as session:
        found = _look(session, point_ids)
        if not found.leaving:
            raise Refused(f"Nothing was removed: {found.staying[0][1]}.")
        if found.braked and not confirmed:
            raise Conflict(
                f"That is more than half of the points of {' and '.join(found.braked)}, so nothing was "
                "removed.",
                "Confirm that this is meant.",
                field="confirmed",
            )
        for point in found.leaving:
            _throw_in(point, by)
        return found


def _look(session: Session, point_ids: Iterable[int]) -> Removal:
    leaving, staying = list[Point](), list[tuple[Point, str]]()
    for point in _get(session, point_ids):
        reason = _why_it_stays(session, point)
        if reason:
            staying.append((point, reason))
        else:
            leaving.append(point)
    live = [copy for point in leaving for copy in point.copies if points.is_live(copy)]
    per_point = Counter(copy.point_id for copy in live)
    return Removal(
        leaving, staying, sum(copy.bytes_added for copy in live),
        sum(1 for number in per_point.values() if number == 1),
        _braked(session, leaving), utc_now() + retention.TRASH_FOR,
    )  # fmt: skip


def _get(session: Session, point_ids: Iterable[int]) -> Sequence[Point]:
    query = select(Point).where(Point.id.in_(list(point_ids))).options(selectinload(Point.copies))
    found = session.scalars(query.order_by(Point.taken_at.desc(), Point.id.desc())).all()
    if not found:
        raise NotFound("None of these points exists.", "Open the list of points again.")
    return found


def _why_it_stays(session: Session, point: Point) -> str:
    if not is_of_no_config(point):
        assert point.config is not None
        return f"point {point.id} belongs to {point.config.name}, whose retention decides about it"
    if not points.is_good(point):
        return f"point {point.id} is in the trash already, or gone"
    if point.pinned_at is not None:
        return f"point {point.id} is pinned; take its pin off first"
    reading = select(Restore.job_id).join(Job, Restore.job_id == Job.id)
    job_id = session.scalar(reading.where(Restore.point_id == point.id, Job.status.in_(PENDING)).limit(1))
    return f"job {job_id} restores from point {point.id} now" if job_id is not None else ""


def _braked(session: Session, leaving: Sequence[Point]) -> list[str]:
    """Return the names of those configs whose points the brake of retention would keep from going at once."""
    found = []
    for config_id, number in Counter(point.config_id for point in leaving).items():
        query = select(Point.id).where(Point.config_id == config_id, Point.copies.any(points.live()))
        total = len(session.scalars(query).all())
        if retention.is_braked(number, total):
            config = session.get(Config, config_id) if config_id else None
            found.append(config.name if config else "no config")
    return sorted(found)


def _throw_in(point: Point, by: str) -> None:
    """Mark every copy that is there, a damaged one too: none of them was to stay."""
    for copy in point.copies:
        if points.is_there(copy) and copy.trashed_at is None:
            copy.trashed_at, copy.trash_reason = utc_now(), trash.by_hand(by)
