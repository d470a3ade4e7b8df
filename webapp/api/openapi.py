"""`/api/openapi.json`: OpenAPI 3.1, made from what is declared at the door; and a page that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from flask import Response, json, render_template
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from webapp.access import access
from webapp.api import door, names, problems
from webapp.api.answers import Problem
from webapp.api.door import Operation, blueprint
from webapp.api.idempotency import HEADER, LONGEST

_REFS = "#/components/schemas/{model}"
_TEXT = """All that the pages can do, for scripts. Send a token as `Authorization: Bearer …`; tokens are \
made under Settings, Tokens, or with `flask user token add`. Errors are `application/problem+json`: what \
happened, what to do, and the fields that could not be taken. A POST with an `Idempotency-Key` is done once, \
however often it is sent."""
Key = tuple[type[BaseModel], JsonSchemaMode]


@blueprint.get("/openapi.json")
@access.allow("anyone")
def openapi() -> Response:
    """Return the description of the API."""
    return Response(_text(), mimetype="application/json")


@blueprint.get("/docs")
@access.allow("anyone")
def docs() -> str:
    """Show the API: each call with what it takes and gives."""
    return render_template("api/docs.html", groups=_groups(), spec=document(), http=HTTPStatus)


@lru_cache(maxsize=1)
def _text() -> str:
    return json.dumps(document())


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return the description, as OpenAPI 3.1."""
    refs, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for made in door.OPERATIONS:
        paths.setdefault(made.address, {})[made.method.lower()] = _operation(made, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Holdfast", "version": "1", "description": _TEXT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> tuple[dict[Key, dict[str, str]], dict[str, Any]]:
    """Return the reference of each model, and all that they refer to."""
    wanted: list[Key] = [(Problem, "serialization")]
    for made in door.OPERATIONS:
        wanted += [(made.body.model, "validation")] if made.body else []
        wanted += [(made.answer, "serialization")] if made.answer else []
    found, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REFS)
    return cast(dict[Key, dict[str, str]], found), names.camelize_schema(definitions.get("$defs", {}))


def _operation(made: Operation, refs: dict[Key, dict[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": names.to_camel(made.name), "summary": made.summary, "tags": [tag_of(made)],
        "parameters": [*_in_path(made), *_in_query(made), *_in_header(made)],
        "responses": _responses(made, refs), "x-role": made.role,
    }  # fmt: skip
    if made.text:
        found["description"] = made.text
    if made.body is not None:
        schema = refs[(made.body.model, "validation")]
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"required": not made.body.optional, "content": content}
    return found


def tag_of(made: Operation) -> str:
    """Return the noun that a call is about."""
    return made.path.split("/")[2]


def _in_path(made: Operation) -> Iterator[dict[str, Any]]:
    for kind, name in made.parameters:
        schema = (
            {"type": "integer", "minimum": 0, "maximum": 2**63 - 1} if kind == "int" else {"type": "string"}
        )
        yield {"name": names.to_camel(name), "in": "path", "required": True, "schema": schema}


def _in_query(made: Operation) -> Iterator[dict[str, Any]]:
    if made.query is None:
        return
    schema = made.query.model_json_schema(ref_template=_REFS)
    for name, inner in schema.get("properties", {}).items():
        yield {
            "name": names.to_camel(name), "in": "query", "required": name in schema.get("required", ()),
            "schema": _plain(inner),
        }  # fmt: skip


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: an address has no null, leaving it out says the same."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "title")}
    if kept.get("default", "") is None:
        del kept["default"]
    return {**choices[0], **kept} if choices else kept


def _in_header(made: Operation) -> Iterator[dict[str, Any]]:
    if made.method == "POST":
        schema = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"}
        text = "A call with a key that was used within a day is not done again: its answer is."
        yield {"name": HEADER, "in": "header", "required": False, "schema": schema, "description": text}


def _responses(made: Operation, refs: dict[Key, dict[str, str]]) -> dict[str, Any]:
    found = {str(made.status): _good(made, refs)}
    problem = {problems.MIME: {"schema": refs[(Problem, "serialization")]}}
    for status in made.errors:
        found[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return found


def _good(made: Operation, refs: dict[Key, dict[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(made.status).phrase}
    if made.answer is not None:
        found["content"] = {"application/json": {"schema": refs[(made.answer, "serialization")]}}
    elif made.media:
        found["content"] = {media: {"schema": _schema_of(media)} for media in made.media}
    if made.status in (201, 202):
        found["headers"] = {"Location": {"schema": {"type": "string"}}}
    return found


def _schema_of(media: str) -> dict[str, Any]:
    """Return what a download is: bytes, or text that describes an object."""
    return {"type": "object"} if media.endswith("yaml") else {"type": "string", "format": "binary"}


def _groups() -> dict[str, list[Operation]]:
    """Return the calls by what they are about."""
    found: dict[str, list[Operation]] = {}
    for made in door.OPERATIONS:
        found.setdefault(tag_of(made), []).append(made)
    return found
