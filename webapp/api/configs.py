"""Calls about configs: list, make, change, delete, back up."""

from __future__ import annotations

from typing import Any

from flask import url_for
from pydantic import BaseModel, ConfigDict

from core.configs import configs
from core.errors import Invalid
from core.jobs import job_deletion, jobs
from core.models import Config
from jobs import tasks
from webapp.api import answers, config_input, door, job_shape, queries
from webapp.api.answers import ListOut
from webapp.api.config_shape import ConfigOut, ConfigRequest, config, many
from webapp.api.door import Body, Given
from webapp.api.job_shape import JobOut

_ANY = Body(ConfigRequest, parse=dict)
# A type may be asked for under another name at start.
_SAME = {"files": ("files", "incremental"), "incremental": ("incremental", "files")}


class Start(BaseModel):
    """How to back up. `type`: the config's own; `files` and `incremental` go for each other."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = None
    allow_empty: bool = False


class Duplicate(BaseModel):
    """What the copy is called."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str | None = None


class ById(BaseModel):
    """Which config."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = None


@door.operation("GET", "/backup/configs", "viewer", query=queries.ConfigQuery, answer=ListOut[ConfigOut])  # type: ignore[valid-type]
def list_configs(query: queries.ConfigQuery) -> Any:
    """List the configs by name."""
    found = [
        row
        for row in configs.list_all(deleted=query.deleted)
        if query.type in (None, row.type) and query.enabled in (None, row.enabled)
    ]
    return answers.part_of(found, many, query)


@door.operation("POST", "/backup/configs", "admin", body=_ANY, answer=ConfigOut, status=201, also=(409, 503))
def create_config(body: dict[str, Any]) -> Given:
    """Make a config.

    Takes the full shape, or the short one, which names a storage by provider and place: it is found, or made.
    """
    made = configs.create(config_input.new(body), body.get("id"))
    return Given(config(made), headers={"Location": url_for("api.get_config", config_id=made.id)})


@door.operation(
    "PUT", "/backup/configs", "admin", body=_ANY, answer=ConfigOut, query=queries.ById, also=(404, 409, 503)
)
def put_config(body: dict[str, Any], query: queries.ById) -> Any:
    """Change the config whose id stands in the body or in `?id=`."""
    return _replace(_id_of(body, query.id), body)


@door.operation(
    "DELETE", "/backup/configs", "admin", body=Body(ById, optional=True), query=queries.DeleteConfigById,
    also=(404, 409),
)  # fmt: skip
def delete_configs(body: ById, query: queries.DeleteConfigById) -> None:
    """Delete the config whose id stands in the body or in `?id=`; see the call with the id in its path."""
    _delete(_id_of({"id": body.id}, query.id), query.points)


@door.operation("GET", "/backup/configs/<config_id>", "viewer", answer=ConfigOut)
def get_config(config_id: str) -> Any:
    """Return a config, also a deleted one."""
    return config(configs.get(config_id, deleted=True))


@door.operation("PUT", "/backup/configs/<config_id>", "admin", body=_ANY, answer=ConfigOut, also=(409, 503))
def replace_config(config_id: str, body: dict[str, Any]) -> Any:
    """Change a config.

    Each field that is named is replaced as a whole; what is not named stays as it is, so that a client that
    knows fewer fields changes none of the others.
    """
    return _replace(config_id, body)


@door.operation("PATCH", "/backup/configs/<config_id>", "admin", body=_ANY, answer=ConfigOut, also=(409, 503))
def patch_config(config_id: str, body: dict[str, Any]) -> Any:
    """Change single fields of a config, also inside of nested objects (a merge patch, RFC 7396)."""
    row = _live(config_id, body)
    return config(configs.update(row.id, config_input.patched(row, body)))


@door.operation(
    "DELETE", "/backup/configs/<config_id>", "admin", query=queries.DeleteConfigQuery, also=(409,)
)
def delete_config(config_id: str, query: queries.DeleteConfigQuery) -> None:
    """Stop a config for good.

    Its points stay and are listed under no config, unless `?points=trash` puts them into the trash.
    """
    _delete(config_id, query.points)


@door.operation(
    "POST", "/backup/configs/<config_id>/duplicate", "admin", body=Body(Duplicate, optional=True),
    answer=ConfigOut, status=201,
)  # fmt: skip
def duplicate_config(config_id: str, body: Duplicate) -> Given:
    """Make a paused copy of a config, with its password; without a name, under the next free one."""
    made = configs.duplicate(config_id, body.name)
    return Given(config(made), headers={"Location": url_for("api.get_config", config_id=made.id)})


@door.operation(
    "GET", "/backup/configs/<config_id>/backup", "viewer", query=queries.Paged, answer=ListOut[JobOut]
)
def list_backups(config_id: str, query: queries.Paged) -> Any:
    """List the backups of a config, the newest first."""
    row = configs.get(config_id, deleted=True)
    found = jobs.list_jobs(kind="backup", config_id=row.id, page=query.page, per_page=query.per_page)
    return answers.page(found, job_shape.of_many(found.items))


@door.operation(
    "POST", "/backup/configs/<config_id>/backup", "operator", body=Body(Start, optional=True), answer=JobOut,
    status=202, also=(409,),
)  # fmt: skip
def start_backup(config_id: str, body: Start) -> Given:
    """Start a backup. The answer is its job, to be looked at until it has ended."""
    row = configs.get(config_id)
    allowed = _SAME.get(row.type, (row.type,))
    if body.type is not None and body.type not in allowed:
        raise Invalid({"type": f"{row.name} can be backed up as: {', '.join(allowed)}."})
    made = jobs.create_backup(row.id, "api", allow_empty=body.allow_empty)
    tasks.enqueue([made.id])
    return Given(job_shape.job(made), headers={"Location": url_for("api.get_job", job_id=made.id)})


def _replace(config_id: str, body: dict[str, Any]) -> Any:
    row = _live(config_id, body)
    if not body.get("name"):
        raise Invalid({"name": "This is needed."})
    return config(configs.update(row.id, config_input.replacement(row, body)))


def _live(config_id: str, body: dict[str, Any]) -> Config:
    """Return the config. Raises NotFound, and Invalid if the body is about another."""
    row = configs.get(config_id)
    if body.get("id") not in (None, row.id):
        raise Invalid({"id": "The id of a config cannot be changed."})
    return row


def _id_of(body: dict[str, Any], asked: str | None) -> str:
    if not isinstance(body.get("id"), str | None):
        raise Invalid({"id": "An id is a text."})
    given = {each for each in (body.get("id"), asked) if each is not None}
    if len(given) != 1:
        raise Invalid({"id": "Name one config, in the body or as ?id=."})
    return str(given.pop())


def _delete(config_id: str, what: str) -> None:
    row = configs.get(config_id)
    wanted = row.id
    configs.delete(wanted)
    if what == "trash":
        job_deletion.trash_all_of(wanted)
