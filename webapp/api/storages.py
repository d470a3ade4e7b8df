"""Calls about storages: list, make, change, delete, test."""

from __future__ import annotations

from typing import Any

from flask import url_for

from core.errors import Conflict
from core.storages import storage_edit, storage_probe, storage_setup, storage_uses, storages
from webapp.access import access
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body, Given
from webapp.api.storage_shape import StorageOut, StorageRequest, parse, storage
from webapp.settings import transfer

_BODY = Body(StorageRequest, parse=dict)


class TestOut(Out):
    """How a test of a storage went."""

    ok: bool
    text: str


@door.operation("GET", "/backup/storages", "viewer", query=queries.Paged, answer=ListOut[StorageOut])
def list_storages(query: queries.Paged) -> Any:
    """List the storages by name. Where they are is shown to admins."""
    return answers.part(storages.list_all(), _given, query)


@door.operation(
    "POST", "/backup/storages", "admin", body=_BODY, answer=StorageOut, status=201, also=(409, 503)
)
def create_storage(body: dict[str, Any]) -> Given:
    """Initialise a storage with its repository, or take over one that the recovery key opens."""
    storage_id = storage_setup.create(parse(body)).id
    transfer.follow()
    where = url_for("api.get_storage", storage_id=storage_id)
    return Given(_given(storages.get(storage_id)), headers={"Location": where})


@door.operation("GET", "/backup/storages/<storage_id>", "viewer", answer=StorageOut)
def get_storage(storage_id: str) -> StorageOut:
    """Return a storage. Where it is is shown to admins; its secrets to nobody."""
    return _given(storages.get(storage_id))


@door.operation(
    "PUT", "/backup/storages/<storage_id>", "admin", body=_BODY, answer=StorageOut, also=(409, 503)
)
def replace_storage(storage_id: str, body: dict[str, Any]) -> StorageOut:
    """Change a storage; what is not named stays. A new place must hold the same marker and repositories."""
    row = storages.get(storage_id)
    return _given(storage_edit.update(row.id, parse(body, row)))


@door.operation("DELETE", "/backup/storages/<storage_id>", "admin", also=(409,))
def delete_storage(storage_id: str) -> None:
    """Forget a storage; what is on it stays there. Refused while anything depends on it."""
    row = storages.get(storage_id)
    reasons = storage_uses.why_not_delete(row.id)
    if reasons:
        raise Conflict(f"{row.name} cannot be deleted. {' '.join(reasons)}")
    storage_edit.delete(row.id)


@door.operation("POST", "/backup/storages/<storage_id>/test", "operator", answer=TestOut, also=(503,))
def test_storage(storage_id: str) -> TestOut:
    """Write, read and delete a probe. That it cannot be reached is a 503 that says why."""
    return TestOut(ok=True, text=storage_probe.test(storages.get(storage_id)))


def _given(row: Any) -> StorageOut:
    return storage(row, full=access.may("admin"))
