"""Delete a job from the list: its row is hidden, and the point it made goes to the trash, under the brake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import words
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound
from core.models import Config, Copy, Job, Point
from core.points import points
from core.retention import retention, trash

BY_HAND = "deleted by hand, with its job"
# So far back, points deleted by hand count as deleted at once.
BRAKE_WITHIN = timedelta(hours=24)


def get(job_id: int) -> Job:
    """Return a job that was not deleted. Raises NotFound."""
    job = db.session.get(Job, job_id, populate_existing=True)
    if job is None or job.hidden_at is not None:
        raise NotFound(f"There is no job {job_id}.", "It may have been deleted.")
    return job


def delete(job_id: int, *, confirmed: bool = False) -> None:
    """Hide a job, and put its point into the trash, where it stays for seven days.

    Raises Conflict for a job that has not ended, for the last good point of its config, and, unless
    `confirmed`, where more than half of the points would have gone within a day.
    """
    with write() as session:
        job = session.get(Job, job_id)
        if job is None or job.hidden_at is not None:
            raise NotFound(f"There is no job {job_id}.", "It may have been deleted.")
        if not job.ended:
            raise Conflict(f"Job {job_id} is {job.status}.", "Cancel it first, or wait.")
        for point in _points_of(session, job):
            _refuse_needed(session, point, confirmed=confirmed)
            _trash(point, BY_HAND)
        job.hidden_at = utc_now()


def trash_all_of(config_id: str) -> int:
    """Put the points of a deleted config into the trash, the last too, but no pinned one; return how many."""
    with write() as session:
        every = session.scalars(
            select(Point).where(
                Point.config_id == config_id, Point.copies.any(points.live()), Point.pinned_at.is_(None)
            )
        )
        return sum(_trash(point, trash.WITH_CONFIG) for point in every)


def _points_of(session: Session, job: Job) -> Sequence[Point]:
    return session.scalars(select(Point).where(Point.job_id == job.id, Point.copies.any(points.live()))).all()


def _refuse_needed(session: Session, point: Point, *, confirmed: bool) -> None:
    if point.pinned_at is not None:
        note = f": {point.pin_note}" if point.pin_note else ""
        raise Conflict(f"Point {point.id} is pinned{note}.", "Take the pin off first.")
    config = session.get(Config, point.config_id) if point.config_id else None
    if config is None:
        return
    good = session.scalars(
        select(Point).where(Point.config_id == config.id, Point.copies.any(points.live()))
    ).all()
    rest = [each for each in good if each.id != point.id and not points.is_from_future(each)]
    if not rest and not points.is_from_future(point):
        raise Conflict(
            f"Point {point.id} is the last good one of {config.name}, so it stays.",
            "Make another backup first, or delete the config with its points.",
        )
    gone = _gone_by_hand(session, config.id)
    if not confirmed and retention.is_braked(gone + 1, len(good) + gone):
        raise Conflict(
            f"{words.count(gone + 1, 'point')} of {len(good) + gone} of {config.name} would have been "
            "deleted within a day.",
            "If that is meant, send it again with confirm=true.",
        )


def _gone_by_hand(session: Session, config_id: str) -> int:
    since = utc_now() - BRAKE_WITHIN
    query = (
        select(Copy.point_id)
        .join(Point)
        .where(Point.config_id == config_id, Copy.trash_reason == BY_HAND, Copy.trashed_at >= since)
    )
    return len(set(session.scalars(query)))


def _trash(point: Point, reason: str) -> bool:
    """Put all live copies of a point into the trash; tell whether there were any."""
    live = [copy for copy in point.copies if points.is_live(copy)]
    for copy in live:
        copy.trashed_at, copy.trash_reason = utc_now(), reason
    return bool(live)
