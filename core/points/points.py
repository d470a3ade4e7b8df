"""Restore points: which there are, which are good, which copy to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import joinedload, selectinload

from core.db import db, utc_now
from core.errors import NotFound
from core.jobs.jobs import Page, paginate
from core.models import Config, Copy, Point, RepositoryRecord, Storage
from repository.errors import Damaged
from repository.snapshot import Snapshot

# A point dated later than this from now was taken under a wrong clock, or somebody made it up.
CLOCK_SLACK = timedelta(hours=24)


def list_for(config_id: str | None, *, with_trashed: bool = True) -> Sequence[Point]:
    """Return the points of a config, newest first; None: those of no config. Forgotten ones are left out."""
    query = select(Point).where(Point.config_id == config_id, Point.copies.any(there()))
    if not with_trashed:
        query = query.where(Point.copies.any(live()))
    query = query.options(selectinload(Point.copies)).order_by(Point.taken_at.desc(), Point.id.desc())
    return list(db.session.scalars(query))


def list_page(
    *, config_id: str | None = None, page: int = 1, per_page: int = 50, of_no_config: bool = False
) -> Page[Point]:
    """Return one page of all points, or of a config's, newest first; trashed ones too, forgotten ones not.

    `of_no_config`: only those that no config looks after.
    """
    query = select(Point).where(Point.copies.any(there()))
    if of_no_config:
        query = query.where(has_no_config())
    if config_id:
        query = query.where(Point.config_id == config_id)
    where = selectinload(Point.copies).joinedload(Copy.repository).joinedload(RepositoryRecord.storage)
    query = query.options(where, joinedload(Point.config))
    query = query.order_by(Point.taken_at.desc(), Point.id.desc())
    return paginate(query, page, per_page)


def has_no_config() -> ColumnElement[bool]:
    """Return the condition that no config looks after a point: it never had one, or that was deleted."""
    deleted = select(Config.id).where(Config.deleted_at.is_not(None))  # both sides by the index of config_id
    return or_(Point.config_id.is_(None), Point.config_id.in_(deleted))


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


def is_counted(point: Point) -> bool:
    """Tell whether its files and bytes are known: snapshots of older programs do not say."""
    return point.config_id is not None or bool(point.files or point.bytes)


def live_copy_on(point: Point, repository_id: str) -> Copy | None:
    """Return its live copy on a repository, if there is one."""
    return next(
        (copy for copy in point.copies if copy.repository_id == repository_id and is_live(copy)), None
    )


def neighbours(point: Point, most: int = 60) -> list[Point]:
    """Return points of the same config to compare one with: the nearest in time, newest first."""
    same = select(Point).where(Point.config_id == point.config_id, Point.copies.any(there()))
    same = same.where(Point.id != point.id)
    before = same.where(Point.taken_at <= point.taken_at).order_by(Point.taken_at.desc()).limit(most // 2)
    after = same.where(Point.taken_at > point.taken_at).order_by(Point.taken_at).limit(most // 2)
    return [*reversed(db.session.scalars(after).all()), *db.session.scalars(before)]


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


def of_job(job_id: int) -> Point | None:
    """Return the good point that a job made, if it did."""
    return db.session.scalar(select(Point).where(Point.job_id == job_id, Point.copies.any(live())).limit(1))


def of_jobs(job_ids: Sequence[int]) -> dict[int, Point]:
    """Return the good point that each of these jobs made, if it did."""
    query = select(Point).where(Point.job_id.in_(job_ids), Point.copies.any(live()))
    return {point.job_id: point for point in db.session.scalars(query) if point.job_id is not None}


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


@dataclass(frozen=True, slots=True)
class Choice:
    """A copy that a restore may read, and what speaks against it (`note`, "" for nothing)."""

    copy: Copy
    storage: Storage
    reachable: bool
    best: bool
    note: str


def best_copy(point: Point, copy_id: int | None = None) -> Copy:
    """Return the copy to restore from: the first of `in_order`, or the one that a person has chosen.

    Raises NotFound if no repository keeps it any more.
    """
    readable = in_order(point)
    chosen = [copy for copy in readable if copy_id in (None, copy.id)]
    if readable and not chosen:
        raise NotFound(
            f"Point {point.id} has no copy {copy_id} that can be read.", "Choose another of its copies."
        )
    if not chosen:
        raise NotFound(
            f"The data of point {point.id} is gone: {_why_gone(point)}.",
            "Choose another point of this config.",
        )
    return chosen[0]


def in_order(point: Point) -> list[Copy]:
    """Return the copies that are there: a readable one before a damaged one, then one on a storage that
    answers, then a live one before a trashed one, then one on a disk of this machine, then as the
    destinations are ordered."""
    places = {row.repository_id: row.position for row in point.config.destinations} if point.config else {}

    def rank(copy: Copy) -> tuple[bool, bool, bool, bool, int, int]:
        storage = copy.repository.storage
        return (
            copy.damaged_at is not None, storage.unreachable_since is not None, copy.trashed_at is not None,
            storage.provider != "local", places.get(copy.repository_id, len(places)), copy.id,
        )  # fmt: skip

    return sorted((copy for copy in point.copies if is_there(copy)), key=rank)


def choices(point: Point) -> list[Choice]:
    """Return the copies that could be read, the best first."""
    found = []
    for place, copy in enumerate(in_order(point)):
        storage = copy.repository.storage
        found.append(Choice(copy, storage, storage.unreachable_since is None, place == 0, _note(copy)))
    return found


def _note(copy: Copy) -> str:
    if copy.damaged_at is not None:
        return "damaged"
    if copy.repository.storage.unreachable_since is not None:
        return "its storage is unreachable"
    return "in the trash" if copy.trashed_at is not None else ""


def _why_gone(point: Point) -> str:
    if any(copy.lost_at is not None for copy in point.copies):
        return "its snapshot was removed by another program"
    return "retention removed it"


def live() -> ColumnElement[bool]:
    """Return the condition that a copy counts for more than space; see is_live."""
    return there() & Copy.trashed_at.is_(None) & Copy.damaged_at.is_(None)


def there() -> ColumnElement[bool]:
    """Return the condition that a copy's snapshot is still in its repository; see is_there."""
    return Copy.forgotten_at.is_(None) & Copy.lost_at.is_(None)


def require_same(point: Point, snapshot: Snapshot) -> None:
    """Refuse a snapshot that holds something else than the point it is to be a copy of. Raises Damaged."""
    if snapshot.tree.hex() != point.tree:
        raise Damaged(
            f"the snapshot is not that of point {point.id}: another program changed which files it holds"
        )
