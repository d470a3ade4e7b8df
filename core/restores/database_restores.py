"""Restores of a database into a PostgreSQL server: asked for, or refused where the server cannot take it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from sqlalchemy.orm import Session

from core.configs import config_source, configs
from core.configs.source_database import DatabaseSource, place_of, reached
from core.db import write
from core.errors import Invalid, NotFound, Refused
from core.hosts import hosts
from core.jobs import jobs
from core.jobs.outcomes import sentence
from core.models import Config, Job, Point, Restore
from core.points import browse, points
from core.restores import dump_folder
from core.retention.retention_rules import blank_is_none
from repository.entries import SourceUnavailable
from sources.postgres import manifest as manifests
from sources.postgres.errors import BadManifest
from sources.postgres.manifest import Database, Manifest
from sources.postgres.restore_plan import RestoreOptions, plan_restore
from sources.postgres.server import Server
from sources.postgres.source import GLOBALS, MANIFEST

LONGEST_NAME = 63  # bytes of UTF-8, by PostgreSQL
_NAMED = 10  # databases in a message


class DatabaseRestoreInput(BaseModel):
    """Which database of a point goes to a new one named `to`, or `in_place` of the one of that name.

    `database` may be empty where the point holds one only. In place, a safety dump is made first, and the old
    database is kept under another name until a person drops it. `server_config_id`: the config whose server
    takes it; None: that of the point. `owners`: with owners and rights, and the roles they need; else all
    belongs to the user who restores. `copy_id` as for files. `work_folder`: where the files of a parallel
    dump go on the way; empty: the folder that its config dumps through.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    point_id: int
    database: str = ""
    to: str = Field(min_length=1)
    server_config_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    in_place: bool = False
    owners: bool = True
    copy_id: Annotated[int | None, BeforeValidator(blank_is_none)] = None
    work_folder: str = ""

    @field_validator("to")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if len(name.encode()) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"A name has at most {LONGEST_NAME} bytes and only visible characters.")
        return name

    @property
    def options(self) -> RestoreOptions:
        """How to restore."""
        return RestoreOptions(owners=self.owners)


@dataclass(frozen=True, slots=True)
class Receiver:
    """The server that a restore goes to."""

    source: DatabaseSource
    password: str = field(repr=False)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return place_of(self.source)

    def reached(self, *, quick: bool = False) -> AbstractContextManager[Server]:
        """Give the server for a block. Raises NotFound, Refused, ServerUnavailable."""
        return reached(self.source, self.password, quick=quick)


def validate(values: Mapping[str, Any]) -> DatabaseRestoreInput:
    """Return the input of a form or a command, checked. Raises Invalid with a sentence by field."""
    try:
        return DatabaseRestoreInput.model_validate(dict(values))
    except ValidationError as error:
        raise Invalid({str(each["loc"][0]): _say(each) for each in reversed(error.errors())}) from error


def _say(problem: ErrorDetails) -> str:
    if problem["type"] in ("missing", "string_too_short"):
        return "This is needed."
    return problem["msg"].removeprefix("Value error, ")


def create(given: DatabaseRestoreInput, trigger: str = "manual") -> Job:
    """Make a queued restore; the caller enqueues it, after the job `safety_job_of` it.

    Raises NotFound, Invalid (`database`, `to`, `work_folder`); Refused if the server does not answer;
    Conflict if the config is being backed up, so that no safety dump can be made.
    """
    point = points.get(given.point_id)
    copy_id = points.best_copy(point, given.copy_id).id
    found = manifest_of(point, given.copy_id)
    record = _choose(found, given.database)
    receiver, roles = receiver_for(point, given.server_config_id), _roles(point, given)
    with _refusing(), receiver.reached(quick=True) as server:
        _refuse_obstacles(server, found, record, given, roles)
    if given.in_place:
        _require_safety(point, given)
    asked = given.model_dump(exclude={"point_id", "copy_id"}) | {
        "database": record.name, "work_folder": dump_folder.choose(point, record, given.work_folder),
    }  # fmt: skip
    with write() as session:
        job = jobs.add_job(
            session, kind="restore", trigger=trigger, config_id=point.config_id,
            parameters=_parameters(session, point, given, trigger),
        )  # fmt: skip
        session.add(
            Restore(
                job_id=job.id, point_id=point.id, copy_id=copy_id, include={}, conflict="keep",
                target_path=f"database {given.to} on {receiver.place}", database=asked,
            )
        )  # fmt: skip
        return job


def _parameters(session: Session, point: Point, given: DatabaseRestoreInput, trigger: str) -> dict[str, int]:
    chosen = {"copy_id": given.copy_id} if given.copy_id is not None else {}
    if not given.in_place or point.config is None:
        return chosen
    return {**chosen, "safety_job": jobs.add_backup(session, point.config.id, trigger).id}


def _refuse_obstacles(
    server: Server, found: Manifest, record: Database, given: DatabaseRestoreInput, roles: bytes
) -> None:
    plan = plan_restore(server, found, record, given.to, given.options, roles)
    if plan.taken and not given.in_place:
        plan.obstacles.append(f"{server.place} has a database {given.to!r} already; choose another name")
    if given.in_place and not plan.taken:
        plan.obstacles.append(
            f"{server.place} has no database {given.to!r} to replace; restore it to a new one of that name"
        )
    if plan.obstacles:
        raise Invalid({"to": " ".join(sentence(text) for text in plan.obstacles)})


def _require_safety(point: Point, given: DatabaseRestoreInput) -> None:
    """Refuse a restore in place of what a backup of the point's config would not dump."""
    config = point.config
    source = config_source.source_of(config) if config is not None and config.deleted_at is None else None
    if not isinstance(source, DatabaseSource) or given.server_config_id:
        raise Invalid({"to": "In place works on the point's own server, while its config is there."})
    is_dumped = given.to in source.databases if source.which == "chosen" else given.to not in source.exclude
    if not is_dumped:
        text = f"The config does not back up {given.to!r}, so no safety dump can be made of it."
        raise Invalid({"to": f"{text} Restore to a new database instead."})


def input_of(row: Restore, copy_id: int | None) -> DatabaseRestoreInput:
    """Return what a restore was asked to do."""
    asked = {name: value for name, value in row.database.items() if name != "result"}
    return DatabaseRestoreInput.model_construct(point_id=row.point_id, copy_id=copy_id, **asked)


def is_of_databases(point: Point) -> bool:
    """Tell whether a point holds dumps of databases."""
    return point.config is not None and point.config.type == "database"


def manifest_of(point: Point, copy_id: int | None = None) -> Manifest:
    """Return what a point's dumps hold. Raises Invalid (`database`) if it has none, and as browsing does."""
    try:
        _, content = browse.read_file(point, MANIFEST, copy_id)
    except NotFound as error:
        text = f"Point {point.id} holds no dump of a database. Restore its files into a folder instead."
        raise Invalid({"database": text}) from error
    return decode(b"".join(content))


def decode(content: bytes) -> Manifest:
    """Return a manifest. Raises Refused if this version cannot read it."""
    try:
        return manifests.decode(content)
    except BadManifest as error:
        raise Refused(sentence(str(error))) from error


def path_of(record: Database) -> bytes:
    """Return the tree path of a database's dump."""
    return b"/" + os.fsencode(record.file)


def receiver_for(point: Point, config_id: str | None) -> Receiver:
    """Return the server a restore goes to: that of a config, or else of the point's. Raises NotFound."""
    config = configs.get(config_id) if config_id else point.config
    source = config_source.source_of(config) if config is not None else None
    if config is None or not isinstance(source, DatabaseSource):
        raise NotFound("No config says which server this goes to.", "Make one of type database.")
    return Receiver(source, config_source.password_of(config))


def servers(point: Point) -> list[tuple[str, str]]:
    """Return where a point may be restored to: id of a config ("" for the point's own), words for people."""
    found = [("", f"{_short(point.config)}, where it came from")] if point.config else []
    others = [each for each in configs.list_all() if each.type == "database" and each.id != point.config_id]
    return found + [(each.id, f"{_short(each)}, the server of {each.name}") for each in others]


def _short(config: Config) -> str:
    """Name a config's server in short."""
    host_id = config.source.get("host_id")
    return f"{config.source['host']}{f' by way of {hosts.name_of(host_id)}' if host_id else ''}"


def _choose(found: Manifest, name: str) -> Database:
    names = [database.name for database in found.databases]
    if not name and len(names) != 1:
        raise Invalid({"database": f"The point holds several databases: {_in_short(names)}. Choose one."})
    record = found.find(name or names[0])
    if record is None:
        raise Invalid({"database": f"The point does not hold {name!r}. It holds: {_in_short(names)}."})
    return record


def _in_short(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _roles(point: Point, given: DatabaseRestoreInput) -> bytes:
    try:
        _, content = browse.read_file(point, GLOBALS, given.copy_id)
    except NotFound:
        return b""  # they could not be read when the point was made: its job said so
    return b"".join(content)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except SourceUnavailable as error:
        raise Refused(sentence(str(error)), "Nothing was changed.") from error
