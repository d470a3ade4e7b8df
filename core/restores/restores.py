"""Restores: asked for, with everything refused that would do harm; and done by a job."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from core.access import restore_rights
from core.db import db, write
from core.errors import Invalid, NotFound
from core.hosts import host_restoring, hosts
from core.jobs import jobs, outcomes
from core.models import Copy, Job, Point, Restore
from core.points import points
from core.points.tokens import path_from_token, printable
from core.restores import put_back
from core.restores.restore_targets import refuse_target
from core.retention.retention_rules import blank_is_none

Conflict = Literal["keep", "replace", "replace-if-older", "rename"]

CONFLICTS: Mapping[Conflict, str] = {
    "keep": "keep what is there; restore only what is missing",
    "replace": "replace what is there",
    "replace-if-older": "replace what is there if it is older than the point's",
    "rename": "keep what is there, and restore beside it under another name",
}


class RestoreInput(BaseModel):
    """What is restored to where. `include`: path tokens as browsing shows them; none for all. `host_id`: to
    this host; None: to this machine. `put_back`: to where it was there; `target_path` follows from it.

    `copy_id`: read this copy, and no other; None: the best one that answers.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    point_id: int
    include: list[str] = Field(default_factory=list)
    target_path: str
    host_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    put_back: Annotated[bool, BeforeValidator(lambda value: value or False)] = False
    conflict: Conflict = "keep"
    copy_id: Annotated[int | None, BeforeValidator(blank_is_none)] = None

    @field_validator("target_path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError("Give the whole path, from / on.")
        if "\0" in value:
            raise ValueError("A path cannot hold a zero character.")
        return value

    @field_validator("include")
    @classmethod
    def _tokens(cls, value: list[str]) -> list[str]:
        for token in value:
            path_from_token(token)
        return value

    @property
    def include_paths(self) -> list[bytes]:
        """The tree paths asked for; empty for all."""
        return [path_from_token(token) for token in self.include]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a restore goes, with the whole paths of the point below `root`. `seen`: what was found there, of
    a host; None: on this machine."""

    target: str
    root: str
    host_name: str
    seen: host_restoring.Look | None


def validate(values: Mapping[str, Any]) -> RestoreInput:
    """Return the input of a form or a command, checked. Raises Invalid with a sentence by field."""
    given = dict(values)
    if given.get("put_back"):
        folder = put_back.folder_of(_paths(given.get("include", [])))
        # Here it is only shown: what is written follows from the paths, which may be any bytes.
        given["target_path"] = os.fsdecode(folder) if given.get("host_id") else printable(folder)
    try:
        return RestoreInput.model_validate(given)
    except ValidationError as error:
        raise Invalid(_sentences(error)) from error


def create(given: RestoreInput, trigger: str = "manual", *, limited: bool = False) -> Job:
    """Make a queued restore; the caller enqueues it. Raises NotFound, Invalid by field.

    A place on a host is looked at first. To put files back there, a safety backup is made, too: see
    `safety_job_of`; raises Conflict if the config is being backed up. `limited`: by somebody who is no admin,
    see core.access.restore_rights; raises Refused where that allows nothing.
    """
    point, place = points.get(given.point_id), check_place(given, limited=limited)
    seen, target, host_name = place.seen, place.target, place.host_name
    chosen: dict[str, Any] = {}
    if seen is not None:
        chosen = {"used": seen.used, "by_parts": seen.by_parts, "gated": seen.gated}
    copy_id = points.best_copy(point, given.copy_id).id
    chosen |= {"copy_id": given.copy_id} if given.copy_id is not None else {}
    chosen |= {"limited": True} if limited else {}
    with write() as session:
        if session.get(Copy, copy_id) is None:
            raise NotFound(f"Point {given.point_id} is gone.")
        if given.put_back:
            safety = jobs.add_backup(session, str(point.config_id), trigger)
            chosen |= {"safety_job": safety.id, "put_back": True}
        job = jobs.add_job(
            session, kind="restore", trigger=trigger, config_id=point.config_id, parameters=chosen
        )
        session.add(
            Restore(
                job_id=job.id,
                point_id=given.point_id,
                copy_id=copy_id,
                target_path=target,
                host_id=given.host_id,
                host_name=host_name,
                include={"paths": list(given.include)},
                conflict=given.conflict,
            )
        )
        return job


def check_place(given: RestoreInput, *, limited: bool = False) -> Place:
    """Return the place a restore would go to, with all refused that may not be. Raises as create."""
    if limited and given.put_back:
        raise Invalid({"put_back": "Only admins put files back where they were."})
    point = points.get(given.point_id)
    if limited and given.host_id is None:
        restore_rights.check(given.target_path, None)  # before anything is tried out there
    target, host_name = _target(given, point)
    if limited:
        restore_rights.check(target, given.host_id)
    seen = None if given.host_id is None else _look(given, point, target, limited=limited)
    if limited and seen is not None:
        restore_rights.require_ordinary(seen)
    return Place(target, "/" if given.put_back else target, host_name, seen)


def _target(given: RestoreInput, point: Point) -> tuple[str, str]:
    """Return the folder in plain form, and the name of its host, "" for this machine. Raises Invalid."""
    if given.put_back:
        put_back.check(point, given.host_id, given.include_paths)
    elif given.host_id is None:
        return refuse_target(given.target_path, list(point.paths.get("paths", []))), ""
    if given.host_id is None:
        return given.target_path, ""
    return host_restoring.check(given.host_id, given.target_path), hosts.get(given.host_id).name


def _look(given: RestoreInput, point: Point, target: str, *, limited: bool) -> host_restoring.Look:
    below = tree_paths(point, target, given.include_paths, put_back=given.put_back)
    try:
        return host_restoring.look(str(given.host_id), target, below, _needed_bytes(given), limited=limited)
    except Invalid as error:
        if given.put_back and "target_path" in error.fields:  # a field that nobody filled in
            raise Invalid({"put_back": error.fields["target_path"]}) from error
        raise


def tree_paths(point: Point, target: str, include: Sequence[bytes], *, put_back: bool) -> list[str]:
    """Return where below a target, as absolute paths, a restore writes."""
    if put_back:
        return [os.fsdecode(path).removeprefix(target) for path in include]
    return list(point.paths.get("paths", []))


def _needed_bytes(given: RestoreInput) -> int | None:
    """Return how much room is needed; None where only some of the point is wanted."""
    return None if given.include else points.get(given.point_id).bytes


def of_job(job_id: int) -> Restore:
    """Return the restore that a job does. Raises NotFound."""
    found = db.session.scalar(select(Restore).where(Restore.job_id == job_id))
    if found is None:
        raise NotFound(f"Job {job_id} is no restore.")
    return found


def get(restore_id: int) -> Restore:
    """Return a restore. Raises NotFound."""
    found = db.session.get(Restore, restore_id)
    if found is None:
        raise NotFound(f"There is no restore {restore_id}.")
    return found


def safety_job_of(job: Job) -> int | None:
    """Return the backup that must have ended well before a restore in place touches anything."""
    return job.parameters.get("safety_job")


def release(job_id: int, config_id: str) -> list[int]:
    """Let the restores that waited for this safety backup go on now; return them, to be enqueued."""
    queued = select(Job).where(Job.kind == "restore", Job.config_id == config_id, Job.status == "queued")
    found = [job.id for job in db.session.scalars(queued) if safety_job_of(job) == job_id]
    for restore_id in found:
        jobs.hasten(restore_id)
    return found


def is_by_parts(row: Restore) -> bool:
    """Tell whether a restore to a host has left parts there if it ends now, rather than all or nothing."""
    return any(row.job.parameters.get(each) for each in ("by_parts", "in_place_already"))


def half_done(job_id: int, *, killed: bool) -> str:
    """Say what it means for the data that a restore was cancelled, or that its process was killed."""
    row = of_job(job_id)
    if row.host_id is None or row.database or is_by_parts(row):
        return outcomes.half_done("restore")
    text = (
        f"Nothing was restored to {row.target}: what was sent is removed there. The backup was not changed."
    )
    return f"{text} If it was killed at the very end, all may be in place: look there." if killed else text


def list_restores(*, config_id: str | None = None, page: int = 1, per_page: int = 50) -> jobs.Page[Restore]:
    """Return the restores, newest first."""
    of_point = joinedload(Restore.point).joinedload(Point.config)
    query = select(Restore).options(joinedload(Restore.job), of_point).order_by(Restore.id.desc())
    if config_id:
        query = query.join(Point).where(Point.config_id == config_id)
    return jobs.paginate(query, page, per_page)


def _paths(tokens: Sequence[str]) -> list[bytes]:
    try:
        return [path_from_token(token) for token in tokens]
    except ValueError as error:
        raise Invalid({"include": str(error)}) from error


def _sentences(error: ValidationError) -> dict[str, str]:
    fields: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        fields.setdefault(name, str(problem["msg"]).removeprefix("Value error, "))
    return fields
