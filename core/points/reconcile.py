"""Hold the rows of points against the snapshots that are really there; mend the rows."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import words
from core.alerting import alerts
from core.backups.readback import Limits, read_back, reject, rejected
from core.db import db, utc_now, write
from core.models import Config, Copy, Job, JobLog, Point, RepositoryRecord
from core.points import points
from core.retention import retention
from repository.errors import RepositoryError
from repository.repository import Repository
from repository.snapshot import Snapshot

TAG = "holdfast:config="

_TAG = re.compile(re.escape(TAG) + r"([0-9a-f]{16})\Z")
# What is not of a job of ours may be thousands of snapshots: that their roots are there must do.
_GLANCE = Limits(trees=1, blobs=0)

_log = logging.getLogger(__name__)


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
    present = {snapshot_id.hex() for snapshot_id in (*found.stored, *found.damaged)}
    missing = {known[name] for name in known if name not in present}
    found.lost = _note_lost(record_id, missing, forgotten, found.stored)
    strays = {key: value for key, value in found.stored.items() if key.hex() not in known}
    db.session.rollback()  # what follows may be slow: keep no old view of the database open
    found.adopted = _adopt(repo, record_id, _takeable(record_id, strays, every=adopted), own_job)
    _note_damaged(record_id, {snapshot_id.hex() for snapshot_id in found.damaged})
    _tell_damaged(record_id, found.damaged)
    return found


def config_of(snapshot: Snapshot) -> str | None:
    """Return the id of the config that a snapshot belongs to by its tag; None for somebody else's."""
    for tag in snapshot.tags:
        if match := _TAG.match(tag):
            return match[1]
    return None


def taken_at(snapshot: Snapshot) -> datetime:
    """Return when a snapshot was taken, to the microsecond."""
    seconds, ns = divmod(snapshot.time_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1000)


def _copies(session: Session, record_id: str) -> Iterable[Copy]:
    return session.scalars(select(Copy).where(Copy.repository_id == record_id))


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
            elif new_id is not None and points.is_there(copy) and not _is_known(session, record_id, new_id):
                copy.snapshot_id = new_id  # `restic tag` stored it anew
            elif copy.trashed_at is not None and copy.trashed_at <= now - retention.TRASH_FOR:
                copy.forgotten_at = copy.forgotten_at or now  # it was due
            elif points.is_there(copy):
                copy.lost_at = now
                lost.append(copy.id)
    _tell_lost(lost)
    return lost


def _note_damaged(record_id: str, damaged: set[str]) -> None:
    """Note which copies cannot be read, so that they count for nothing; and which can be read again."""
    marked = [copy for copy in _copies(db.session(), record_id) if copy.damaged_at is not None]
    if not damaged and not marked:
        return
    with write() as session:
        for copy in _copies(session, record_id):
            copy.damaged_at = (copy.damaged_at or utc_now()) if copy.snapshot_id in damaged else None


def _is_known(session: Session, record_id: str, snapshot_id: str) -> bool:
    query = select(Copy.id).where(Copy.repository_id == record_id, Copy.snapshot_id == snapshot_id)
    return session.scalar(query) is not None


def _takeable(record_id: str, strays: Mapping[bytes, Snapshot], *, every: bool) -> dict[bytes, str | None]:
    """Return, with the config they belong to, those without a row that may become points.

    `every`: the repository was there before us, so also those that are nobody's here become points, of no
    config.
    """
    bad = rejected(record_id)
    here = set(db.session.scalars(select(Config.id)))
    configs = {key: config_of(each) for key, each in strays.items() if key.hex() not in bad}
    known = {key: config_id if config_id in here else None for key, config_id in configs.items()}
    return known if every else {key: config_id for key, config_id in known.items() if config_id}


def _adopt(
    repo: Repository, record_id: str, ours: Mapping[bytes, str | None], own_job: int | None
) -> list[int]:
    adopted: list[int] = []
    if ours:
        repo.load_index()
    for snapshot_id, config_id in ours.items():
        try:
            snapshot, _ = read_back(repo, snapshot_id, Limits() if config_id else _GLANCE)
        except RepositoryError as error:
            _log.warning("the snapshot %s is not adopted as a point: %s", snapshot_id.hex()[:8], error)
            reject(record_id, snapshot_id)
            continue
        with write() as session:
            point = _adopt_one(session, record_id, snapshot_id, snapshot, config_id, own_job)
            adopted += [point.id] if point is not None else []
    return adopted


def _adopt_one(
    session: Session,
    record_id: str,
    snapshot_id: bytes,
    snapshot: Snapshot,
    config_id: str | None,
    own_job: int | None,
) -> Point | None:
    if _is_known(session, record_id, snapshot_id.hex()):
        return None
    if config_id is None:
        return add_point(session, record_id, snapshot_id, snapshot, config_id=None, job_id=None)
    if _runs_now(session, config_id, own_job):
        return None  # its job is about to make the row itself
    if (point := _same_point(session, config_id, snapshot)) is not None:
        add_copy(session, point, record_id, snapshot_id, 0)  # its copy was killed before it made the row
        return point
    job = _job_at(session, config_id, taken_at(snapshot))
    # At least one: what the log of the killed job did not come to say is not known.
    warnings = max(1, _warnings_of(session, job))
    return add_point(
        session, record_id, snapshot_id, snapshot, config_id=config_id, job_id=job, warnings=warnings
    )


def _same_point(session: Session, config_id: str, snapshot: Snapshot) -> Point | None:
    """Return the point that a snapshot is a copy of: copying keeps when it was taken, and of what."""
    query = select(Point).where(
        Point.config_id == config_id, Point.taken_at == taken_at(snapshot), Point.tree == snapshot.tree.hex()
    )
    return session.scalar(query.order_by(Point.id).limit(1))


def _warnings_of(session: Session, job_id: int | None) -> int:
    lines = select(func.count()).select_from(JobLog).where(JobLog.job_id == job_id, JobLog.level == "warning")
    return session.scalar(lines) or 0


def add_point(
    session: Session,
    record_id: str,
    snapshot_id: bytes,
    snapshot: Snapshot,
    *,
    config_id: str | None,
    job_id: int | None,
    full_read: bool = False,
    warnings: int = 0,
) -> Point:
    """Add the rows of a point and its copy, from a snapshot that was read back."""
    summary = snapshot.summary or {}
    point = Point(
        config_id=config_id,
        job_id=job_id,
        taken_at=taken_at(snapshot),
        hostname=snapshot.hostname,
        paths={"paths": list(snapshot.paths)},
        tree=snapshot.tree.hex(),
        parent_snapshot=snapshot.parent.hex() if snapshot.parent else "",
        files=_number(summary, "total_files_processed"),
        bytes=_number(summary, "total_bytes_processed"),
        bytes_added=_number(summary, "data_added_packed"),
        warnings=warnings,
        full_read=full_read,
    )
    session.add(point)
    session.flush()
    add_copy(session, point, record_id, snapshot_id, point.bytes_added)
    return point


def add_copy(session: Session, point: Point, record_id: str, snapshot_id: bytes, bytes_added: int) -> Copy:
    """Add the row of a copy that was read back. `bytes_added`: what it added to the repository, as stored.

    A row that this snapshot has already, as one that was forgotten and came back, counts again.
    """
    known = select(Copy).where(Copy.repository_id == record_id, Copy.snapshot_id == snapshot_id.hex())
    copy = session.scalar(known.where(Copy.point_id == point.id))
    if copy is None:
        copy = Copy(
            point_id=point.id, repository_id=record_id, snapshot_id=snapshot_id.hex(), bytes_added=bytes_added
        )
        session.add(copy)
    copy.trashed_at, copy.trash_reason = None, ""
    copy.forgotten_at = copy.lost_at = copy.damaged_at = None
    session.flush()
    return copy


def _number(summary: Mapping[str, object], name: str) -> int:
    value = summary.get(name)
    return value if isinstance(value, int) else 0


def _runs_now(session: Session, config_id: str, own_job: int | None) -> bool:
    kinds = Job.kind.in_(("backup", "copy"))
    query = select(Job.id).where(kinds, Job.config_id == config_id, Job.status == "running")
    return any(job_id != own_job for job_id in session.scalars(query))


def _job_at(session: Session, config_id: str, at: datetime) -> int | None:
    """Return the job that was at work when a snapshot was taken."""
    query = select(Job).where(Job.kind == "backup", Job.config_id == config_id, Job.started_at <= at)
    job = session.scalar(query.order_by(Job.id.desc()).limit(1))
    if job is None or job.status == "completed" or (job.ended_at is not None and job.ended_at < at):
        return None
    return job.id


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
