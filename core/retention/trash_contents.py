"""What is in the trash, until when, and out of it again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, selectinload

from core import words
from core.db import db, utc_now, write
from core.errors import Conflict, Refused
from core.jobs.jobs import Page, paginate
from core.models import Copy, Job, Point
from core.points import points
from core.retention import retention

NOTE = "taken out of the trash"


def contents(config_id: str | None = None, *, page: int = 1, per_page: int = 50) -> Page[Copy]:
    """Return one page of the copies in the trash, of one config or all; what came last stands first."""
    query = _in_trash(config_id).options(selectinload(Copy.point).selectinload(Point.copies))
    return paginate(query.order_by(Copy.trashed_at.desc(), Point.taken_at.desc(), Copy.id), page, per_page)


def count(config_id: str | None = None) -> int:
    """Return how many copies are in the trash."""
    query = select(func.count()).select_from(_in_trash(config_id).subquery())
    return db.session.scalar(query) or 0


def goes_at(copy: Copy) -> datetime:
    """Return when a copy in the trash may be removed: the next clean-up after that does it."""
    assert copy.trashed_at is not None
    return copy.trashed_at + retention.TRASH_FOR


def take_out(copy_ids: Collection[int], by: str) -> list[Point]:
    """Let copies in the trash count again; return their points.

    They are pinned: their rules would throw them in anew.

    Raises Refused for one that is not in the trash, Conflict for one that is being removed this moment.
    """
    with write() as session:
        copies = [session.get(Copy, copy_id) for copy_id in copy_ids]
        there = [copy for copy in copies if copy is not None and points.is_in_trash(copy)]
        if len(there) < len(copy_ids) or not there:
            raise Refused("What was chosen is not in the trash any more.", "Look at the page anew.")
        _refuse_if_leaving(session, there)
        found = list({copy.point_id: copy.point for copy in there}.values())
        for copy in there:
            copy.trashed_at, copy.trash_reason = None, ""
        for point in found:
            if point.pinned_at is None:
                point.pinned_at, point.pinned_by, point.pin_note = utc_now(), by, NOTE
        return found


def take_out_points(point_ids: Collection[int], by: str) -> list[Point]:
    """Do the same with all copies of points. Raises the same."""
    query = select(Copy.id).where(Copy.point_id.in_(point_ids)).join(Point)
    chosen = set(db.session.scalars(query.where(*_conditions())))
    missing = set(point_ids) - set(db.session.scalars(select(Copy.point_id).where(Copy.id.in_(chosen))))
    if missing:
        listed = ", ".join(str(number) for number in sorted(missing))
        raise Refused(f"Not in the trash: {listed}.", "List what is: flask backup trash.")
    return take_out(chosen, by)


def _refuse_if_leaving(session: Session, copies: Collection[Copy]) -> None:
    """Raise Conflict if a clean-up may be removing one: before its time, or once it is out, none does."""
    overdue = any(goes_at(copy) <= utc_now() for copy in copies)
    running = select(Job.id).where(Job.kind == "retention", Job.status == "running").limit(1)
    if overdue and (job_id := session.scalar(running)) is not None:
        raise Conflict(
            f"The {words.count(retention.TRASH_FOR.days, 'day')} are over, and job {job_id} is emptying the "
            "trash this moment.",
            "Look again when it has ended.",
        )


def _in_trash(config_id: str | None) -> Select[Copy]:
    query = select(Copy).join(Point).where(*_conditions())
    return query.where(Point.config_id == config_id) if config_id else query


def _conditions() -> tuple[ColumnElement[bool], ...]:
    return (
        Copy.trashed_at.is_not(None), Copy.forgotten_at.is_(None), Copy.lost_at.is_(None),
        Copy.damaged_at.is_(None),
    )  # fmt: skip
