"""What a copy is to fill in, and from where that can be read."""

from __future__ import annotations

from core import words
from core.backups.copy_run import CopyRun
from core.db import db, write
from core.models import Copy, Destination, Point
from core.points import points
from core.retention import retention


def plan(run: CopyRun) -> None:
    """Find what is missing; what only lies in the trash there is taken out of it instead."""
    destination = db.session.get_one(Destination, run.destination_id)
    missing = retention.missing(destination, points.good_points(destination.config_id))
    back = [copy.id for point in missing if (copy := _in_trash(point, run.record_id))]
    kept = {point.id for point in missing if _in_trash(point, run.record_id)}
    run.todo = [point.id for point in missing if point.id not in kept]
    run.taken_out = len(back)
    run.total = len(run.todo)
    if back:
        with write() as session:
            for copy_id in back:
                copied = session.get_one(Copy, copy_id)
                copied.trashed_at, copied.trash_reason = None, ""
        run.attempt.log.add("info", f"Took {words.count(len(back), 'point')} out of the trash there.")
    db.session.rollback()


def _in_trash(point: Point, record_id: str) -> Copy | None:
    there = (copy for copy in point.copies if copy.repository_id == record_id and points.is_in_trash(copy))
    return next(there, None)


def source_ids(run: CopyRun) -> list[str]:
    """Return the repositories to read from, in order of the copies that restores would prefer."""
    found: dict[str, None] = {}
    for point_id in run.todo:
        found |= dict.fromkeys(copy.repository_id for copy in _readable(points.get(point_id), run.record_id))
    return list(found)


def _readable(point: Point, but: str) -> list[Copy]:
    return [copy for copy in points.in_order(point) if points.is_live(copy) and copy.repository_id != but]


def snapshots_on(run: CopyRun, source_id: str) -> dict[bytes, int]:
    """Return what can be read there of what is missing, by snapshot, the newest first."""
    found: dict[bytes, int] = {}
    for point_id in run.todo:
        for copy_there in points.get(point_id).copies:
            if copy_there.repository_id == source_id and points.is_live(copy_there):
                found[bytes.fromhex(copy_there.snapshot_id)] = point_id
    db.session.rollback()
    return found
