"""Restore points: which there are, which are good, which copy to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from core.db import db, utc_now
from core.errors import NotFound
from core.jobs import Page, paginate
from core.models import Copy, Point

# A point dated later than this from now was taken under a wrong clock, or somebody made it up.
CLOCK_SLACK = timedelta(hours=24)


def list_for(config_id: str | None, *, with_trashed: bool = True) -> Sequence[Point]:
    """Return the points of a config, newest first; None: those of no config. Forgotten ones are left out."""
    query = select(Point).where(Point.config_id == config_id, Point.copies.any(_there()))
    if not with_trashed:
        query = query.where(Point.copies.any(live()))
    query = query.options(selectinload(Point.copies)).order_by(Point.taken_at.desc(), Point.id.desc())
    return list(db.session.scalars(query))


def list_page(*, config_id: str | None = None, page: int = 1, per_page: int = 50) -> Page[Point]:
    """Return one page of all points, or of a config's, newest first; trashed ones too, forgotten ones not."""
    query = select(Point).where(Point.copies.any(_there()))
    if config_id:
        query = query.where(Point.config_id == config_id)
    query = query.options(selectinload(Point.copies)).order_by(Point.taken_at.desc(), Point.id.desc())
    return paginate(query, page, per_page)


def get(point_id: int) -> Point:
    """Return a point. Raises NotFound."""
    point = db.session.get(Point, point_id, populate_existing=True)
    if point is None:
        raise NotFound(f"There is no point {point_id}.")
    return point


def find(wanted: str) -> Point:
    """Return the point of this number, or with a copy whose snapshot id begins so. Raises NotFound."""
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 8:
        return get(int(wanted))
    query = select(Point).join(Copy).where(Copy.snapshot_id.startswith(wanted, autoescape=True)).distinct()
    found = db.session.scalars(query.limit(2)).all() if len(wanted) >= 4 else []
    if len(found) != 1:
        problem = "Several points have" if found else "There is no point with"
        raise NotFound(
            f"{problem} a snapshot id that begins with {wanted!r}.", "List them: flask backup points."
        )
    return found[0]


def is_good(point: Point) -> bool:
    """Tell whether it counts: it has a copy that is neither trashed, forgotten, lost nor damaged.

    A row is only made once the snapshot was read back from the storage, whatever became of its job after.
    """
    return any(is_live(copy) for copy in point.copies)


def is_live(copy: Copy) -> bool:
    """Tell whether a copy counts for more than space."""
    return is_there(copy) and copy.trashed_at is None and copy.damaged_at is None


def is_in_trash(copy: Copy) -> bool:
    """Tell whether it could be taken out of the trash and then be restored."""
    return is_there(copy) and copy.trashed_at is not None and copy.damaged_at is None


def is_there(copy: Copy) -> bool:
    """Tell whether its snapshot is still in the repository, in the trash or not."""
    return copy.forgotten_at is None and copy.lost_at is None


def live_copy_on(point: Point, repository_id: str) -> Copy | None:
    """Return its live copy on a repository, if there is one."""
    return next(
        (copy for copy in point.copies if copy.repository_id == repository_id and is_live(copy)), None
    )


def good_points(config_id: str) -> Sequence[Point]:
    """Return the good points of a config, newest first."""
    return list_for(config_id, with_trashed=False)


def is_from_future(point: Point, now: datetime | None = None) -> bool:
    """Tell whether its time cannot be true: then it is the newest of nothing, and stands before no other."""
    return point.taken_at > (now or utc_now()) + CLOCK_SLACK


def not_from_future(now: datetime | None = None) -> ColumnElement[bool]:
    """Return the condition that a point's time can be true."""
    return Point.taken_at <= (now or utc_now()) + CLOCK_SLACK


def latest(config_id: str, now: datetime | None = None) -> Point | None:
    """Return the newest good point of a config; never one from the future."""
    query = select(Point).where(Point.config_id == config_id, Point.copies.any(live()), not_from_future(now))
    return db.session.scalar(query.order_by(Point.taken_at.desc(), Point.id.desc()).limit(1))


def why_gone(job_id: int) -> str:
    """Return what became of the point that a job made, to follow "the point"; "" if it counts."""
    made = db.session.scalars(select(Point).where(Point.job_id == job_id)).all()
    if not made or any(is_good(point) for point in made):
        return ""
    copies = [copy for point in made for copy in point.copies]
    if any(copy.damaged_at for copy in copies):
        return "cannot be read any more: its snapshot is damaged"
    if any(copy.lost_at for copy in copies):
        return "is gone: its snapshot was removed by another program"
    return "does not count any more: it was removed"


def best_copy(point: Point) -> Copy:
    """Return the copy to restore from: a readable one before a damaged one, then one on a storage that
    answers before another, then a live one before a trashed one.

    Raises NotFound if the repository keeps none of them any more.
    """
    readable = [copy for copy in point.copies if is_there(copy)]
    if not readable:
        raise NotFound(
            f"The data of point {point.id} is gone: {_why_gone(point)}.",
            "Choose another point of this config.",
        )
    return min(readable, key=_rank)


def _rank(copy: Copy) -> tuple[bool, bool, bool, int]:
    unreachable = copy.repository.storage.unreachable_since is not None
    return (copy.damaged_at is not None, unreachable, copy.trashed_at is not None, copy.id)


def _why_gone(point: Point) -> str:
    if any(copy.lost_at is not None for copy in point.copies):
        return "its snapshot was removed by another program"
    return "retention removed it"


def live() -> ColumnElement[bool]:
    """Return the condition that a copy counts for more than space; see is_live."""
    return _there() & Copy.trashed_at.is_(None) & Copy.damaged_at.is_(None)


def _there() -> ColumnElement[bool]:
    return Copy.forgotten_at.is_(None) & Copy.lost_at.is_(None)
