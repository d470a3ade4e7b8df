"""Points from snapshots that have no row yet: their job was killed, or they were there before us."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.backups.readback import Limits, read_back, reject, rejected
from core.db import db, write
from core.models import Config, Copy, Job, JobLog, Point
from repository.errors import RepositoryError
from repository.repository import Repository
from repository.snapshot import Snapshot

TAG = "holdfast:config="

_TAG = re.compile(re.escape(TAG) + r"([0-9a-f]{16})\Z")
# What is not of a job of ours may be thousands of snapshots: that their roots are there must do.
_GLANCE = Limits(trees=1, blobs=0)

_log = logging.getLogger(__name__)


def is_known(session: Session, record_id: str, snapshot_id: str) -> bool:
    """Tell whether a snapshot has a row."""
    query = select(Copy.id).where(Copy.repository_id == record_id, Copy.snapshot_id == snapshot_id)
    return session.scalar(query) is not None


def takeable(record_id: str, strays: Mapping[bytes, Snapshot], *, every: bool) -> dict[bytes, str | None]:
    """Return, with the config they belong to, those without a row that may become points.

    `every`: the repository was there before us, so also those that are nobody's here become points, of no
    config.
    """
    bad = rejected(record_id)
    here = set(db.session.scalars(select(Config.id)))
    configs = {key: config_of(each) for key, each in strays.items() if key.hex() not in bad}
    known = {key: config_id if config_id in here else None for key, config_id in configs.items()}
    return known if every else {key: config_id for key, config_id in known.items() if config_id}


def adopt(
    repo: Repository, record_id: str, ours: Mapping[bytes, str | None], own_job: int | None
) -> list[int]:
    """Make points of those that read back, by id with the config they belong to; return the new points."""
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
    if is_known(session, record_id, snapshot_id.hex()):
        return None
    if config_id is None:
        nobodys = add_point(session, record_id, snapshot_id, snapshot, config_id=None, job_id=None)
        return _keep_pinned(session, nobodys, snapshot)
    if _runs_now(session, config_id, own_job):
        return None  # its job is about to make the row itself
    if (point := _same_point(session, config_id, snapshot)) is not None:
        add_copy(session, point, record_id, snapshot_id, 0)  # its copy was killed before it made the row
        return point
    job = _job_at(session, config_id, taken_at(snapshot))
    # At least one: what the log of the killed job did not come to say is not known.
    warnings = max(1, _warnings_of(session, job))
    made = add_point(
        session, record_id, snapshot_id, snapshot, config_id=config_id, job_id=job, warnings=warnings
    )
    return _keep_pinned(session, made, snapshot)


def _keep_pinned(session: Session, point: Point, snapshot: Snapshot) -> Point:
    """Pin what another program left of a pinned point as that was: no rule may remove what a person kept."""
    if snapshot.original is None:
        return point
    # On whatever repository: a copy names what it was first, there or elsewhere.
    query = select(Point).join(Copy).where(Copy.snapshot_id == snapshot.original.hex())
    query = query.where(Point.config_id == point.config_id, Point.pinned_at.is_not(None))
    pinned = session.scalar(query.order_by(Point.id).limit(1))
    if pinned is not None:
        point.pinned_at, point.pinned_by, point.pin_note = pinned.pinned_at, pinned.pinned_by, pinned.pin_note
    return point


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
