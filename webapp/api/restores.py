"""Calls about restores: of files into a folder, of a dump into a database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import url_for
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import Forbidden

from core.errors import Conflict, Invalid
from core.jobs import job_deletion
from core.models import Job
from core.points import points
from core.points.tokens import path_from_token, token_from_path
from core.restores import database_restores, restores
from jobs import tasks
from webapp.access import access
from webapp.api import answers, door, job_shape, queries
from webapp.api.answers import ListOut
from webapp.api.door import Body, Given
from webapp.api.job_shape import RestoreOut


class DatabaseWanted(BaseModel):
    """Which database of the point goes where: to a new one named `to`, or `inPlace` of that one.

    `workFolder`: the folder of this machine that the files of a parallel dump go through; by itself, that of
    the config.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    database: str = ""
    to: str = Field(min_length=1)
    server_config_id: str | None = None
    in_place: bool = False
    owners: bool = True
    work_folder: str = ""


class OfPoint(BaseModel):
    """What is restored to where. Files go below `targetPath`, on the host `hostId` if one is named, over SSH;
    with `inPlace`, those chosen go back where they were, after a safety backup. `database` restores a dump
    instead.

    `paths`: files and folders as they were backed up, `include`: the same by the tokens of a listing; with
    neither, everything. `copyId`: read this copy and no other.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    target_path: str | None = None
    host_id: str | None = None
    paths: list[str] = Field(default=[], max_length=10_000)
    include: list[str] = Field(default=[], max_length=10_000)
    in_place: bool = False
    conflict: restores.Conflict = "keep"
    copy_id: queries.RowId | None = None
    database: DatabaseWanted | None = None


class Wanted(OfPoint):
    """The same with the point."""

    point_id: queries.RowId


@door.operation("GET", "/backup/restores", "viewer", query=queries.ByConfig, answer=ListOut[RestoreOut])
def list_restores(query: queries.ByConfig) -> Any:
    """List restores, the newest first."""
    found = restores.list_restores(config_id=query.config, page=query.page, per_page=query.per_page)
    return answers.page(found, job_shape.restore)


@door.operation("GET", "/backup/restores/<int:restore_id>", "viewer", answer=RestoreOut)
def get_restore(restore_id: int) -> RestoreOut:
    """Return a restore with its job."""
    return job_shape.restore(restores.get(restore_id))


@door.operation(
    "POST",
    "/backup/restores",
    "operator",
    body=Body(Wanted),
    answer=RestoreOut,
    status=202,
    also=(404, 409, 503),
)
def create_restore(body: Wanted) -> Given:
    """Start a restore. The answer has its job, to be looked at until it has ended.

    Operators restore files only, below folders that an admin has allowed on this machine or that host,
    without owners, setuid and devices; they put nothing back where it was.
    """
    return _start(body.point_id, body)


@door.operation(
    "POST", "/backup/jobs/<int:job_id>/restore", "operator", body=Body(OfPoint), answer=RestoreOut,
    status=202, also=(409, 503),
)  # fmt: skip
def restore_job(job_id: int, body: OfPoint) -> Given:
    """Start a restore of the point that a backup made."""
    job = job_deletion.get(job_id)
    point = points.of_job(job.id)
    if point is None:
        raise Conflict(f"Job {job.id} has no good point to restore.", "Choose another job.")
    return _start(point.id, body)


def _start(point_id: int, body: OfPoint) -> Given:
    given = body.model_dump(include={"copy_id"}) | {"point_id": point_id}
    job = _of_files(given, body) if body.database is None else _of_database(given, body.database, body)
    safety_id = restores.safety_job_of(job)
    tasks.enqueue([job.id] if safety_id is None else [safety_id, job.id])
    made = restores.of_job(job.id)
    where = url_for("api.get_restore", restore_id=made.id)
    return Given(job_shape.restore(made), headers={"Location": where})


def _of_files(given: Mapping[str, Any], body: OfPoint) -> Job:
    if body.in_place and body.target_path:
        raise Invalid({"in_place": "Name either a folder or this, not both at once."})
    if not body.target_path and not body.in_place:
        raise Invalid({"target_path": "This is needed, unless a database is restored, or files in place."})
    for number, token in enumerate(body.include):
        _check_token(token, number)
    include = [*body.include, *(_token(path, number) for number, path in enumerate(body.paths))]
    wanted = {
        **given, **body.model_dump(include={"target_path", "host_id", "conflict"}),
        "put_back": body.in_place, "include": include,
    }  # fmt: skip
    try:
        return restores.create(restores.validate(wanted), "api", limited=not access.may("admin"))
    except Invalid as error:
        named = {"in_place" if name == "put_back" else name: text for name, text in error.fields.items()}
        raise Invalid(named) from error


def _of_database(given: Mapping[str, Any], wanted: DatabaseWanted, body: OfPoint) -> Job:
    if not access.may("admin"):
        raise Forbidden
    if body.target_path or body.host_id or body.paths or body.include or body.in_place:
        raise Invalid({"database": "Restore either a database or files, not both at once."})
    try:
        return database_restores.create(database_restores.validate({**given, **wanted.model_dump()}), "api")
    except Invalid as error:
        raise Invalid({f"database.{name}": text for name, text in error.fields.items()}) from error


def _check_token(token: str, number: int) -> None:
    try:
        path_from_token(token)
    except ValueError as error:
        raise Invalid({f"include.{number}": "This is no token of a path."}) from error


def _token(path: str, number: int) -> str:
    if not path.startswith("/"):
        raise Invalid({f"paths.{number}": "Give the whole path, from / on."})
    return token_from_path(os.fsencode(os.path.normpath("/" + path.lstrip("/"))))
