"""Points, their copies and files as JSON."""

from __future__ import annotations

from datetime import datetime

from core.models import Copy, Point
from core.points import points
from webapp.api.answers import Out


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
