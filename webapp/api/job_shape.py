"""Jobs and restores as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from core.models import Job, JobLog, Point, Restore
from core.points import points
from webapp.api.answers import Out


class JobOut(Out):
    """One run of anything that takes time. `waitingReason`: why a queued one does not begin."""

    id: int
    kind: str
    status: Literal["queued", "running", "completed", "warning", "failed", "cancelled", "interrupted"]
    trigger: str
    config_id: str | None
    config_name: str | None
    point_id: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    phase: str
    waiting_reason: str
    files_done: int
    files_total: int | None
    bytes_done: int
    bytes_total: int | None
    bytes_added: int
    bytes_rate: int | None
    summary: str
    meaning: str
    advice: str
    problems: int
    counts: dict[str, int]


class LogLineOut(Out):
    """One line of a job's log."""

    at: datetime
    level: str
    message: str
    path: str


class RestoreOut(Out):
    """One restore, and the job that does it. `include`: tokens of paths; empty for all."""

    id: int
    job: JobOut
    point_id: int
    copy_id: int | None
    target_path: str
    host_id: str | None
    include: list[str]
    conflict: str
    database: str | None
    files: int
    bytes: int
    kept: int
    renamed: int
    created_at: datetime


def job(row: Job) -> JobOut:
    """Return a job as it is given."""
    return _job(row, points.of_job(row.id) if row.kind == "backup" and row.ended else None)


def of_many(rows: Sequence[Job]) -> Callable[[Job], JobOut]:
    """Return what makes these jobs as they are given; their points are asked for together."""
    made = points.of_jobs([row.id for row in rows if row.kind == "backup" and row.ended])
    return lambda row: _job(row, made.get(row.id))


def _job(row: Job, made: Point | None) -> JobOut:
    return JobOut.model_validate(
        {name: getattr(row, name) for name in JobOut.model_fields if hasattr(row, name)}
        | {
            "config_name": row.config.name if row.config else None,
            "point_id": made.id if made else None,
            "counts": {name: value for name, value in row.counts.items() if isinstance(value, int)},
        }
    )


def log_line(row: JobLog) -> LogLineOut:
    """Return a line of a log as it is given."""
    return LogLineOut(at=row.at, level=row.level, message=row.message, path=row.path)


def restore(row: Restore) -> RestoreOut:
    """Return a restore as it is given."""
    return RestoreOut(
        id=row.id, job=job(row.job), point_id=row.point_id, copy_id=row.copy_id,
        target_path=row.target_path, host_id=row.host_id, include=list(row.include.get("paths", [])),
        conflict=row.conflict,
        database=row.database.get("to") if row.database else None, files=row.files, bytes=row.bytes,
        kept=row.kept, renamed=row.renamed, created_at=row.created_at,
    )  # fmt: skip
