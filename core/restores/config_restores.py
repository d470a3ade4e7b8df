"""Chosen files of a configuration put back in their places, after a safety backup of what stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from core.backups import safety_backup
from core.configs.config_compare import require_comparable
from core.db import write
from core.errors import Invalid, NotFound, Refused
from core.jobs import jobs
from core.jobs.attempts import Attempt
from core.models import Job, Point, Restore
from core.points import browse, points
from core.points.tokens import path_from_token, printable
from core.restores import put_back
from core.restores.restore_targets import refuse_in_place
from core.retention.retention_rules import blank_is_none
from repository.browse import find_node
from sources.config_bundle.source import DOCUMENT

_OWN_FOLDER = DOCUMENT.rpartition(b"/")[0]


class PutBackInput(BaseModel):
    """Which files and links of a point replace those of this machine. `include`: path tokens, at least one.

    `copy_id` as for other restores.
    """

    model_config = ConfigDict(extra="forbid")

    point_id: int
    include: list[str] = Field(min_length=1)
    copy_id: Annotated[int | None, BeforeValidator(blank_is_none)] = None

    @field_validator("include")
    @classmethod
    def _check_tokens(cls, tokens: list[str]) -> list[str]:
        for token in tokens:
            path_from_token(token)
        return list(dict.fromkeys(tokens))

    @property
    def paths(self) -> list[bytes]:
        """The tree paths asked for."""
        return [path_from_token(token) for token in self.include]


def validate(values: Mapping[str, Any]) -> PutBackInput:
    """Return the input of a form or a command, checked. Raises Invalid."""
    try:
        return PutBackInput.model_validate(dict(values))
    except ValidationError as error:
        text = "Choose at least one file." if error.errors()[0]["type"] == "too_short" else str(error)
        raise Invalid({"include": text}) from error


def create(given: PutBackInput, trigger: str = "manual") -> Job:
    """Make a queued restore; the caller enqueues it, after the backup that `restores.safety_job_of` names.

    Raises NotFound, Refused, Invalid (`include`); Conflict if the config is being backed up.
    """
    point = points.get(given.point_id)
    _require_config(point)
    for path in given.paths:
        _require_file(point, path, given.copy_id)
    refuse_in_place(given.paths)
    copy_id = points.best_copy(point, given.copy_id).id
    with write() as session:
        safety = jobs.add_backup(session, str(point.config_id), trigger)
        parameters = {"safety_job": safety.id, "in_place": True}
        if given.copy_id is not None:
            parameters["copy_id"] = given.copy_id
        job = jobs.add_job(
            session, kind="restore", trigger=trigger, config_id=point.config_id, parameters=parameters
        )
        session.add(
            Restore(
                job_id=job.id, point_id=point.id, copy_id=copy_id, target_path=_named(given.paths),
                include={"paths": given.include}, conflict="replace",
            )
        )  # fmt: skip
        return job


def is_offered(point: Point) -> bool:
    """Tell whether files of a point may be put back in their places."""
    try:
        _require_config(point)
    except Refused:
        return False
    return True


def require_safety(attempt: Attempt, point: Point, paths: Sequence[bytes]) -> int:
    """Return the safety point once it holds all that `point` is to replace. Raises WaitingForJob, Refused."""
    made = put_back.safety_point(attempt)
    refuse_in_place(paths)
    for path in paths:
        there = put_back.stamp_here(path)
        if there is not None:
            safety_backup.require_held(made, path, there, _stamp_in(made, path), _stamp_in(point, path))
    attempt.log.add("info", f"What stands there now is in the safety backup, point {made.id}.")
    return made.id


def place_of(paths: Sequence[bytes]) -> str:
    """Say where files are put back, to follow "to"."""
    return "its place" if len(paths) == 1 else "their places"


def _named(paths: Sequence[bytes]) -> str:
    """Name files and where they go, as the target of a restore."""
    more = f" and {len(paths) - 1} more" if paths[1:] else ""
    return f"{printable(paths[0])}{more}, in {place_of(paths)}"


def _stamp_in(point: Point, path: bytes) -> safety_backup.Stamp | None:
    try:
        return safety_backup.stamp_of_node(
            browse.look(point, lambda repo, snapshot: find_node(repo, snapshot, path), path)
        )
    except NotFound:
        return None


def _require_config(point: Point) -> None:
    require_comparable(point)
    config = point.config
    if config is None or config.deleted_at is not None or config.type != "config":
        raise Refused(
            "Only files of a configuration are put back in their places, while their config is there.",
            "Restore into a folder, and move the files from there.",
        )


def _require_file(point: Point, path: bytes, copy_id: int | None) -> None:
    if path == _OWN_FOLDER or path.startswith(_OWN_FOLDER + b"/"):
        raise Invalid({"include": f"{printable(path)} is no file of this machine: Holdfast wrote it."})
    if browse.find(point, path, copy_id).kind not in ("file", "symlink"):
        raise Invalid({"include": f"{printable(path)} is no file; folders are restored into a folder."})
