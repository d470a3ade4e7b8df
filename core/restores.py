"""Restores: asked for, with everything refused that would do harm; and done by a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import select

from core import jobs, points
from core.db import db, write
from core.errors import Invalid, NotFound
from core.models import Copy, Job, Point, Restore
from core.restore_targets import refuse_target
from core.retention_rules import blank_is_none
from core.tokens import path_from_token

Conflict = Literal["keep", "replace", "replace-if-older", "rename"]

CONFLICTS: Mapping[Conflict, str] = {
    "keep": "keep what is there; restore only what is missing",
    "replace": "replace what is there",
    "replace-if-older": "replace what is there if it is older than the point's",
    "rename": "keep what is there, and restore beside it under another name",
}


class RestoreInput(BaseModel):
    """What is restored to where. `include`: path tokens as browsing shows them; none for all.

    `copy_id`: read this copy, and no other; None: the best one that answers.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    point_id: int
    include: list[str] = Field(default_factory=list)
    target_path: str
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


def validate(values: Mapping[str, Any]) -> RestoreInput:
    """Return the input of a form or a command, checked. Raises Invalid with a sentence by field."""
    try:
        return RestoreInput.model_validate(dict(values))
    except ValidationError as error:
        raise Invalid(_sentences(error)) from error


def create(given: RestoreInput, trigger: str = "manual") -> Job:
    """Make a queued restore; the caller enqueues it. Raises NotFound, Invalid (target_path)."""
    point = points.get(given.point_id)
    target = refuse_target(given.target_path, list(point.paths.get("paths", [])))
    copy_id = points.best_copy(point, given.copy_id).id
    chosen = {"copy_id": given.copy_id} if given.copy_id is not None else {}
    with write() as session:
        if session.get(Copy, copy_id) is None:
            raise NotFound(f"Point {given.point_id} is gone.")
        job = jobs.add_job(
            session, kind="restore", trigger=trigger, config_id=point.config_id, parameters=chosen
        )
        session.add(
            Restore(
                job_id=job.id,
                point_id=given.point_id,
                copy_id=copy_id,
                target_path=target,
                include={"paths": list(given.include)},
                conflict=given.conflict,
            )
        )
        return job


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


def list_restores(*, config_id: str | None = None, page: int = 1, per_page: int = 50) -> jobs.Page[Restore]:
    """Return the restores, newest first."""
    query = select(Restore).order_by(Restore.id.desc())
    if config_id:
        query = query.join(Point).where(Point.config_id == config_id)
    return jobs.paginate(query, page, per_page)


def _sentences(error: ValidationError) -> dict[str, str]:
    fields: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        fields.setdefault(name, str(problem["msg"]).removeprefix("Value error, "))
    return fields
