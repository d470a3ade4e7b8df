"""What the API gives: one model a thing, made from its row. Names are turned to camelCase at the door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from core.access import api_tokens
from core.jobs.jobs import Page
from core.models import Alert, ApiToken, Copy, Job, JobLog, Point, Restore, Storage
from core.points import points
from core.storages.storage_inputs import write_size
from webapp.api.queries import Paged

T = TypeVar("T")


class Out(BaseModel):
    """A document that is given."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ListOut(Out, Generic[T]):
    """One page of a list. `total` counts all pages."""

    items: list[T]
    page: int
    per_page: int
    total: int


class Problem(BaseModel):
    """What went wrong (RFC 9457), what to do, and the fields it is about."""

    class FieldProblem(BaseModel):
        """What is wrong with one field; nested ones with dots."""

        field: str
        reason: str

    type: str
    title: str
    status: int
    detail: str
    advice: str | None = None
    errors: list[FieldProblem] | None = None
    error_id: str | None = None


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


class CopyOut(Out):
    """A point on one storage. `live`: it counts for more than space."""

    id: int
    storage_id: str
    storage_name: str
    repository_id: str
    snapshot: str
    live: bool
    created_at: datetime
    trashed_at: datetime | None
    trash_reason: str


class PointOut(Out):
    """What a backup made. `good`: all it lists is stored and it is not in the trash."""

    id: int
    config_id: str | None
    config_name: str | None
    job_id: int | None
    taken_at: datetime
    hostname: str
    paths: list[str]
    files: int
    bytes: int
    bytes_added: int
    warnings: int
    good: bool
    pinned_at: datetime | None
    pinned_by: str
    pin_note: str
    copies: list[CopyOut]


class FileOut(Out):
    """One entry of a folder in a point. `path` may be lossy; `token` names it exactly."""

    name: str
    path: str
    token: str
    kind: str
    size: int | None
    modified_at: datetime | None
    link_target: str


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


class StorageOut(Out):
    """Where bytes go. `settings` by provider; secrets are never given: `hasCredentials` tells of them."""

    id: str
    name: str
    provider: str
    settings: dict[str, Any]
    has_credentials: bool
    repository_ids: list[str]
    quota: str
    quota_bytes: int | None
    used_bytes: int | None
    measured_at: datetime | None
    site: str
    offsite: bool
    media: str
    price_per_gb_month: float | None
    currency: str
    upload_limit: int | None
    download_limit: int | None
    limit_hours: str
    immutable_days: int | None
    unreachable_since: datetime | None
    unreachable_reason: str
    tested_at: datetime | None
    test_ok: bool
    test_result: str
    created_at: datetime


class AlertOut(Out):
    """What needs a person: what happened, what it means, what to do."""

    id: int
    kind: str
    severity: str
    what: str
    meaning: str
    advice: str
    config_id: str | None
    job_id: int | None
    storage_id: str | None
    count: int
    opened_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    resolved_at: datetime | None


class TokenOut(Out):
    """A token for the API. `hint`: how it begins."""

    id: int
    name: str
    role: str
    hint: str
    user: str | None
    valid: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    """The same with its text, which is given only now."""

    token: str


def job(row: Job) -> JobOut:
    """Return a job as it is given."""
    made = points.of_job(row.id) if row.kind == "backup" and row.ended else None
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


def copy(row: Copy) -> CopyOut:
    """Return a copy as it is given."""
    storage = row.repository.storage
    return CopyOut(
        id=row.id, storage_id=storage.id, storage_name=storage.name, repository_id=row.repository_id,
        snapshot=row.snapshot_id, live=points.is_live(row), created_at=row.created_at,
        trashed_at=row.trashed_at, trash_reason=row.trash_reason,
    )  # fmt: skip


def point(row: Point) -> PointOut:
    """Return a point as it is given."""
    return PointOut.model_validate(
        {name: getattr(row, name) for name in PointOut.model_fields if hasattr(row, name)}
        | {
            "config_name": row.config.name if row.config else None,
            "paths": list(row.paths.get("paths", [])),
            "good": points.is_good(row),
            "copies": [copy(each) for each in row.copies if points.is_there(each)],
        }
    )


def restore(row: Restore) -> RestoreOut:
    """Return a restore as it is given."""
    return RestoreOut(
        id=row.id, job=job(row.job), point_id=row.point_id, copy_id=row.copy_id,
        target_path=row.target_path, host_id=row.host_id, include=list(row.include.get("paths", [])),
        conflict=row.conflict,
        database=row.database.get("to") if row.database else None, files=row.files, bytes=row.bytes,
        kept=row.kept, renamed=row.renamed, created_at=row.created_at,
    )  # fmt: skip


def storage(row: Storage, *, full: bool) -> StorageOut:
    """Return a storage as it is given, without its secrets; `full`: with where it is, and reasons."""
    return StorageOut.model_validate(
        {name: getattr(row, name) for name in StorageOut.model_fields if hasattr(row, name)}
        | {
            "settings": dict(row.settings) if full else {},
            "unreachable_reason": row.unreachable_reason if full else "",
            "test_result": row.test_result if full else "",
            "has_credentials": bool(row.credentials_sealed),
            "repository_ids": [each.id for each in row.repositories],
            "quota": write_size(row.quota_bytes),
        }
    )


def alert(row: Alert) -> AlertOut:
    """Return an alert as it is given."""
    return AlertOut.model_validate({name: getattr(row, name) for name in AlertOut.model_fields})


def token(row: ApiToken) -> TokenOut:
    """Return a token as it is given."""
    return TokenOut(**_token(row))


def new_token(row: ApiToken, text: str) -> NewTokenOut:
    """Return a token that was just made."""
    return NewTokenOut(**_token(row), token=text)


def page(found: Page[Any], make: Callable[[Any], Any]) -> dict[str, Any]:
    """Return one page of rows, each as `make` gives it: a ListOut."""
    return {
        "items": [make(row) for row in found.items], "page": found.number, "per_page": found.per_page,
        "total": found.total,
    }  # fmt: skip


def part(rows: Sequence[Any], make: Callable[[Any], Any], query: Paged) -> dict[str, Any]:
    """Return one page of rows that are all at hand: a ListOut."""
    last = max(1, -(-len(rows) // query.per_page))
    number = min(query.page, last)
    shown = rows[(number - 1) * query.per_page : number * query.per_page]
    return page(Page(shown, number, query.per_page, len(rows)), make)


def _token(row: ApiToken) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in TokenOut.model_fields if hasattr(row, name)}
    return shown | {
        "role": api_tokens.role_of(row),
        "user": row.user.name if row.user else None,
        "valid": api_tokens.is_valid(row),
    }
