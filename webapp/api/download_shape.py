"""Built downloads as JSON."""

from __future__ import annotations

from datetime import datetime

from core.models import BuiltDownload
from core.points import built_downloads
from webapp.api import job_shape
from webapp.api.answers import Out
from webapp.api.job_shape import JobOut


class LeftOutOut(Out):
    """A path that is not in the archive as it was, and what became of it."""

    path: str
    what: str


class DownloadOut(Out):
    """An archive of some paths of a point, and the job that builds it. `include`: tokens; empty for all.

    `sha256` and `sizeBytes` are those of the file once it is `ready`; `removedWhy` says why it is gone.
    `leftOutCount` counts what the first of stand in `leftOut`.
    """

    id: int
    state: built_downloads.State
    job: JobOut
    point_id: int
    form: str
    name: str
    include: list[str]
    asked_by: str
    created_at: datetime
    size_bytes: int
    sha256: str
    ready_at: datetime | None
    expires_at: datetime | None
    removed_at: datetime | None
    removed_why: str
    left_out_count: int
    left_out: list[LeftOutOut]


class RulesOut(Out):
    """From what size pages offer to build a download, how long it is kept, how much all may take."""

    build_above_bytes: int
    keep_hours: int
    most_bytes: int


def download(row: BuiltDownload) -> DownloadOut:
    """Return a built download as it is given."""
    plain = {name: getattr(row, name) for name in DownloadOut.model_fields if hasattr(row, name)}
    left_out = [LeftOutOut(path=path, what=what) for path, what in row.left_out.get("paths", [])]
    return DownloadOut.model_validate(
        plain
        | {
            "state": built_downloads.state(row),
            "job": job_shape.job(row.job),
            "include": list(row.include.get("paths", [])),
            "left_out_count": int(row.left_out.get("count", 0)),
            "left_out": left_out,
        }
    )
