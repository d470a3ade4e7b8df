"""Every call that takes a body, with bodies that are wrong: it says what and where, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import MetaData, select

from core.db import Base, db
from tests.webapp.api.conftest import Caller
from tests.webapp.api.test_routes import CALLS
from tests.webapp.world import World
from webapp.api import door

WITH_BODY = [made.name for made in door.OPERATIONS if made.body]
# What a call may be asked without a body at all.
OPTIONAL = {made.name for made in door.OPERATIONS if made.body and made.body.optional}
# What every call notes: who asked, and when.
NOTED = {"audit_entries", "audit_heads", "begun_deeds", "api_tokens", "instance_values"}

NO_JSON = [b"", b"{", b"nonsense", b"{'a': 1}", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}']
NO_OBJECT: list[Any] = [[], "text", 5, None, True, [{}]]
NO_FIELD: list[Any] = [
    {"nix": 1},
    {"isAdmin": True, "__proto__": {"role": "admin"}},
    {"snake_case": 1},
    {"name": {"$ne": None}, "nix": []},
    {"x" * 10_000: 1},
    {"": 1},
    {"name": "a\0b"},
    {"name": 10**30},
]


def rows(world: World) -> dict[str, list[Any]]:
    """Return all that is in the database, but for what each call notes."""
    with world.app.app_context():
        tables = [table for table in Base.metadata.sorted_tables if table.name not in NOTED]
        return {table.name: [tuple(row) for row in db.session.execute(select(table))] for table in tables}


def address(world: World, name: str) -> tuple[str, str]:
    method, path, _ = CALLS[name]
    return method, path.format(**vars(world))


@pytest.mark.parametrize("name", WITH_BODY)
def test_what_is_wrong_is_said_and_nothing_is_done(
    world: World, admin: Caller, name: str, enqueued: list[int]
) -> None:
    method, path = address(world, name)
    before = rows(world)
    head = {"Authorization": f"Bearer {admin.token}"}
    url = f"/api/backup{path}"
    for content in NO_JSON:
        if not content and name in OPTIONAL:
            continue
        answer = admin.client.open(
            url, method=method, data=content, headers=head, content_type="application/json"
        )
        assert answer.status_code in (400, 422), (content[:40], answer.text)
        assert answer.mimetype == "application/problem+json"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = admin.client.open(url, method=method, data=b'{"a": 1}', headers=head, content_type=kind)
        assert answer.status_code == 415, (kind, answer.text)
    for wrong in [*NO_OBJECT, *NO_FIELD]:
        found = admin.send(method, path, wrong, 422) if wrong is not None else None
        assert found is None or all(each["reason"] for each in found["errors"]), wrong
    assert rows(world) == before
    assert enqueued == []


def wrong_types(schema: dict[str, Any], spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each property of a schema with a value of a kind that it never has."""
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].split("/")[-1]]
    for option in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from wrong_types(option, spec)
    for field in schema.get("properties", {}):
        yield field, {"deeply": [{"wrong": 1.5}]}


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_field_of_another_kind_is_named(
    world: World, admin: Caller, name: str, enqueued: list[int]
) -> None:
    method, path = address(world, name)
    spec: Any = admin.client.get("/api/openapi.json").json
    made = next(each for each in door.OPERATIONS if each.name == name)
    schema = spec["paths"][made.address][method.lower()]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    before = rows(world)
    tried = 0
    for field, value in wrong_types(schema, spec):
        if field in ("metadata", "target", "settings", "credentials", "source"):
            continue  # objects of their own
        answer = admin.call(method, path, {field: value})
        assert answer.status_code == 422, (field, answer.text)
        tried += 1
    assert tried
    assert rows(world) == before
    assert enqueued == []


def test_the_tables_that_every_call_writes_are_real() -> None:
    metadata: MetaData = Base.metadata
    assert set(metadata.tables) >= NOTED
