"""Calls that take everything elsewhere: export, import, and what an import still waits for."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from core.configs import awaited, transfer, transfer_text
from core.configs.transfer import What
from core.models import Awaited
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body
from webapp.settings import transfer as page


class Import(BaseModel):
    """An export as text. `dryRun`: only say what would be done.

    `secrets`: YAML by section and name, `storages: {NAME: {access_key: …, secret_key: …}}`,
    `channels: {NAME: {url: …}}`, `configs: {NAME: {password: …}}`.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    document: str = Field(min_length=1, max_length=transfer_text.MOST_BYTES)
    secrets: str | None = Field(default=None, max_length=transfer_text.MOST_BYTES, repr=False)
    dry_run: bool = False


class StepOut(Out):
    """What is done with one thing: make it; nothing, it is there; let it wait for a person.

    `place`: where the secrets given for it would go to.
    """

    noun: str
    name: str
    what: What
    why: str
    place: str


class ImportOut(Out):
    """What an import did, or would do."""

    done: bool
    steps: list[StepOut]


class AwaitedOut(Out):
    """A thing of an import that could not be made yet, and what it lacks. It does nothing until then."""

    id: int
    noun: str
    name: str
    why: str
    created_at: datetime


@door.operation("GET", "/backup/export", "admin", media=("application/yaml",))
def export_all() -> Response:
    """Download configs, storages, hosts and channels as YAML, without secrets."""
    return page.attachment()


@door.operation("POST", "/backup/import", "admin", body=Body(Import), answer=ImportOut, also=(409, 503))
def import_all(body: Import) -> ImportOut:
    """Make what an export holds and is not here yet; what is here stays as it is.

    All of it is checked before anything is made. What needs a secret that is not given waits for it, and does
    nothing until then. The same again changes nothing.
    """
    secrets = transfer_text.read(body.secrets, "secrets") if body.secrets else None
    plan = transfer.plan(transfer_text.read(body.document, "document"), secrets)
    if not body.dry_run:
        page.apply(plan)
    steps = [StepOut(**asdict(each)) for each in plan.steps]
    return ImportOut(done=not body.dry_run, steps=steps)


@door.operation("GET", "/backup/awaited", "admin", query=queries.Paged, answer=ListOut[AwaitedOut])
def list_awaited(query: queries.Paged) -> Any:
    """List what imports could not make yet."""
    return answers.part(awaited.list_all(), _given, query)


@door.operation("DELETE", "/backup/awaited/<int:awaited_id>", "admin")
def drop_awaited(awaited_id: int) -> None:
    """Wait for it no more."""
    awaited.drop(awaited_id)


def _given(row: Awaited) -> AwaitedOut:
    return AwaitedOut(
        id=row.id, noun=row.noun, name=row.name, why=awaited.why(row), created_at=row.created_at
    )
