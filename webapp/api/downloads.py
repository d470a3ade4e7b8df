"""Calls about downloads that are built first: one file with a hash, which can be fetched in parts."""

from __future__ import annotations

from typing import Any

from flask import Response, url_for
from pydantic import BaseModel, ConfigDict, Field

from core.points import built_downloads, built_rules
from jobs import tasks
from webapp.access import access
from webapp.api import answers, door, download_shape, paths, queries
from webapp.api.answers import ListOut
from webapp.api.door import Body, Given
from webapp.api.download_shape import DownloadOut, RulesOut
from webapp.points import downloads

_MEDIA = ("application/x-tar", "application/zip")


class DownloadWanted(BaseModel):
    """What is built. `paths`: files and folders as they were backed up, `include`: the same by the tokens of
    a listing; with neither, everything. `copyId`: read this copy and no other."""

    model_config = ConfigDict(extra="forbid")

    point_id: queries.RowId
    paths: list[str] = Field(default=[], max_length=10_000)
    include: list[str] = Field(default=[], max_length=10_000)
    form: built_downloads.Form = "zip"
    copy_id: queries.RowId | None = None


class RulesWanted(BaseModel):
    """What is changed; the rest stays."""

    model_config = ConfigDict(extra="forbid")

    build_above_bytes: int | None = None
    keep_hours: int | None = None
    most_bytes: int | None = None


@door.operation("GET", "/backup/downloads", "admin", query=queries.Paged, answer=ListOut[DownloadOut])
def list_downloads(query: queries.Paged) -> Any:
    """List downloads that were built or are being built, the newest first."""
    return answers.page(built_downloads.list_page(query.page, query.per_page), download_shape.download)


@door.operation(
    "POST", "/backup/downloads", "admin", body=Body(DownloadWanted), answer=DownloadOut, status=202,
    also=(404, 409, 503),
)  # fmt: skip
def build_download(body: DownloadWanted) -> Given:
    """Build an archive of files and folders of a point, to be fetched once it is ready.

    One that would be the same, and is ready or about to be, is given instead. Refused where there is no room.
    """
    given = built_downloads.validate(
        {
            "point_id": body.point_id, "form": body.form, "copy_id": body.copy_id,
            "include": paths.many(body.paths, body.include),
        }
    )  # fmt: skip
    row = built_downloads.create(given, "api", access.user().name)
    if row.job.status == "queued":
        tasks.enqueue([row.job_id])
    where = url_for("api.get_download", download_id=row.id)
    return Given(download_shape.download(built_downloads.get(row.id)), headers={"Location": where})


@door.operation("GET", "/backup/downloads/rules", "admin", answer=RulesOut)
def get_download_rules() -> RulesOut:
    """Return from what size downloads are offered to be built, how long they are kept, and their room."""
    return RulesOut.model_validate(built_rules.current().model_dump())


@door.operation("PATCH", "/backup/downloads/rules", "admin", body=Body(RulesWanted), answer=RulesOut)
def change_download_rules(body: RulesWanted) -> RulesOut:
    """Change these rules; what is not named stays."""
    found = built_rules.change(body.model_dump(exclude_none=True))
    return RulesOut.model_validate(found.model_dump())


@door.operation("GET", "/backup/downloads/<int:download_id>", "admin", answer=DownloadOut)
def get_download(download_id: int) -> DownloadOut:
    """Return a download: what is in it, how far it is, and its hash once it is ready."""
    return download_shape.download(built_downloads.get(download_id))


@door.operation("GET", "/backup/downloads/<int:download_id>/file", "admin", media=_MEDIA, also=(409,))
def fetch_download(download_id: int) -> Response:
    """Fetch a download that is ready.

    What was cut off goes on with a `Range`; `Repr-Digest` holds the SHA-256 of all of it.
    """
    return downloads.built(*built_downloads.file_of(download_id))


@door.operation("DELETE", "/backup/downloads/<int:download_id>", "admin", also=(409,))
def remove_download(download_id: int) -> None:
    """Remove the file of a download before its time."""
    built_downloads.remove(download_id, access.user().name)
