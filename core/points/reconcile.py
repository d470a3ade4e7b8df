"""Hold the rows of points against the snapshots that are really there; mend the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.models import Copy, Point, RepositoryRecord
from core.points import adoption, points
from core.retention import retention
from repository.repository import Repository
from repository.snapshot import Snapshot


@dataclass(slots=True)
class Findings:
    """What was found. `stored` are all readable snapshots by id; the other lists say what was mended."""

    stored: dict[bytes, Snapshot] = field(default_factory=dict)
    damaged: list[bytes] = field(default_factory=list)
    adopted: list[int] = field(default_factory=list)  # points
    lost: list[int] = field(default_factory=list)  # copies


def reconcile(repo: Repository, record: RepositoryRecord, own_job: int | None = None) -> Findings:
    """Adopt tagged snapshots that have no row (their job was killed); note copies that somebody removed.

    `own_job` is the job that calls: a snapshot of another running backup is left to that one.
    """
    record_id, adopted = record.id, record.adopted
    # Rows before the listing: a copy made in between is in both.
    rows = list(_copies(db.session(), record_id))
    known = {copy.snapshot_id: copy.id for copy in rows}
    forgotten = {copy.id for copy in rows if copy.forgotten_at is not None}
    found = Findings()
    found.stored = dict(repo.list_snapshots(lambda snapshot_id, error: found.damaged.append(snapshot_id)))
    for wrong, right in _undo_moves(record_id, found.stored).items():
        known[right] = known.pop(wrong)
    present = {snapshot_id.hex() for snapshot_id in (*found.stored, *found.damaged)}
    missing = {known[name] for name in known if name not in present}
    found.lost = _note_lost(record_id, missing, forgotten, found.stored)
    strays = {key: value for key, value in found.stored.items() if key.hex() not in known}
    db.session.rollback()  # what follows may be slow: keep no old view of the database open
    ours = adoption.takeable(record_id, strays, every=adopted)
    found.adopted = adoption.adopt(repo, record_id, ours, own_job)
    _note_damaged(record_id, {snapshot_id.hex() for snapshot_id in found.damaged})
    _tell_damaged(record_id, found.damaged)
    return found


def _copies(session: Session, record_id: str) -> Iterable[Copy]:
    return session.scalars(select(Copy).where(Copy.repository_id == record_id))


def _undo_moves(record_id: str, stored: Mapping[bytes, Snapshot]) -> dict[str, str]:
    """Give rows that an older version moved to a snapshot of other files the one back that they were of.

    That one is gone as a rule, so the copy is lost, and what has its name now is a point of its own. Returns
    what was changed to what.
    """
    query = select(Copy.id, Copy.snapshot_id, Point.tree).join(Point)
    # What is in the trash is to go, as what stands there is: given back, that would count again.
    counted = points.there() & Copy.trashed_at.is_(None)
    rows = db.session.execute(query.where(Copy.repository_id == record_id, counted)).all()
    wrong: dict[int, tuple[str, str]] = {}
    for copy_id, name, tree in rows:
        snapshot = stored.get(bytes.fromhex(name))
        if snapshot is not None and snapshot.original and snapshot.tree.hex() != tree:
            wrong[copy_id] = name, snapshot.original.hex()
    if not wrong:
        return {}
    undone = {}
    with write() as session:
        for copy_id, (name, original) in wrong.items():
            if not adoption.is_known(session, record_id, original):
                session.get_one(Copy, copy_id).snapshot_id = original
                session.flush()
                undone[name] = original
    return undone


def _note_lost(
    record_id: str, missing: set[int], forgotten: set[int], stored: Mapping[bytes, Snapshot]
) -> list[int]:
    """Note which copies are missing, and which are there again; return those that got lost.

    `forgotten` were so before the listing: what another job forgets meanwhile is not back.
    """
    # Only one with the same tree: `repair snapshots` and `rewrite` leave files out: that is another point.
    moved = {
        (original.hex(), each.tree.hex()): key.hex()
        for key, each in stored.items()
        if (original := each.original)
    }
    present = {snapshot_id.hex() for snapshot_id in stored}
    now, lost = utc_now(), []
    with write() as session:
        for copy in _copies(session, record_id):
            new_id = moved.get((copy.snapshot_id, copy.point.tree)) if copy.id in missing else None
            if copy.id not in missing:
                if copy.snapshot_id in present:
                    copy.lost_at = None
                    copy.forgotten_at = None if copy.id in forgotten else copy.forgotten_at
            elif new_id is not None and _may_move(session, copy, new_id):
                copy.snapshot_id = new_id  # `restic tag` stored it anew
            elif copy.trashed_at is not None and copy.trashed_at <= now - retention.TRASH_FOR:
                copy.forgotten_at = copy.forgotten_at or now  # it was due
            elif points.is_there(copy):
                copy.lost_at = now
                lost.append(copy.id)
    _tell_lost(lost)
    return lost


def _may_move(session: Session, copy: Copy, new_id: str) -> bool:
    return points.is_there(copy) and not adoption.is_known(session, copy.repository_id, new_id)


def _note_damaged(record_id: str, damaged: set[str]) -> None:
    """Note which copies cannot be read, so that they count for nothing; and which can be read again."""
    marked = [copy for copy in _copies(db.session(), record_id) if copy.damaged_at is not None]
    if not damaged and not marked:
        return
    with write() as session:
        for copy in _copies(session, record_id):
            copy.damaged_at = (copy.damaged_at or utc_now()) if copy.snapshot_id in damaged else None


def _tell_lost(copy_ids: Iterable[int]) -> None:
    for copy_id in copy_ids:
        copy = db.session.get(Copy, copy_id)
        if copy is None:
            continue
        point, storage = copy.point, copy.repository.storage
        name, zone = (point.config.name, point.config.timezone) if point.config else ("no config", "UTC")
        when = words.moment(point.taken_at, zone)
        alerts.raise_alert(
            f"lost:{point.config_id}", "retention", "error",
            f"The point of {name} of {when} was removed from {storage.name} by another program.",
            "It cannot be restored from there any more. Holdfast did not remove it.",
            "Find out who runs `restic forget` there, and back up again if it was the newest point.",
            f"snapshot {copy.snapshot_id}", config_id=point.config_id, storage_id=storage.id,
        )  # fmt: skip


def _tell_damaged(record_id: str, damaged: list[bytes]) -> None:
    subject = f"damaged-snapshots:{record_id}"
    if not damaged:
        alerts.resolve(subject)
        return
    record = db.session.get_one(RepositoryRecord, record_id)
    alerts.raise_alert(
        subject, "corruption", "error",
        f"{len(damaged)} snapshot files on {record.storage.name} are damaged.",
        "The points they are of cannot be restored from there. All others are not touched by this.",
        "Look at the disk, then run `restic check` on the repository.",
        "\n".join(snapshot_id.hex() for snapshot_id in damaged), storage_id=record.storage_id,
    )  # fmt: skip
