"""One door for every call: what it takes and gives is declared beside its function, and checked here.

A function gets what stands in its path, `query` and `body` if declared, checked and in snake_case; it returns
what it declared, None for no content, or a whole Response. `webapp.api.openapi` describes what is declared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from core import inputs
from core.errors import Invalid, NotFound
from webapp.access import access
from webapp.api import idempotency, names

blueprint = Blueprint("api", __name__, url_prefix="/api")

Function = TypeVar("Function", bound=Callable[..., Any])
Parse = Callable[[Mapping[str, Any]], Any]
Document = BaseModel | Mapping[str, Any]

_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent. `model` describes it; `parse` checks it, by default against `model`."""

    model: type[BaseModel]
    parse: Parse | None = None
    optional: bool = False

    def check(self, data: Mapping[str, Any]) -> Any:
        """Return what the function gets. Raises Invalid."""
        return self.parse(data) if self.parse else inputs.validate(self.model, data)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer with more than a document: another status, or headers."""

    document: Document | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `also`: statuses that it may have beside those that its shape brings along."""

    name: str
    method: str
    path: str
    role: access.Rule
    summary: str
    text: str
    answer: type[BaseModel] | None
    status: int
    query: type[BaseModel] | None
    body: Body | None
    also: tuple[int, ...]
    media: tuple[str, ...]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Kind ("int" or "string") and name of what stands in the path."""
        return [(kind or "string", name) for kind, name in _PARAMETER.findall(self.path)]

    @property
    def address(self) -> str:
        """The path as OpenAPI writes it."""
        return blueprint.url_prefix + _PARAMETER.sub(  # type: ignore[operator]
            lambda found: f"{{{names.to_camel(found[2])}}}", self.path
        )

    @property
    def errors(self) -> list[int]:
        """The statuses of its errors."""
        found = {422, *self.also}
        found |= {401, 403} if self.role != "anyone" else set()
        found |= {400} if self.method != "GET" else set()
        found |= {413, 415} if self.body else set()
        found |= {404} if self.parameters else set()
        return sorted(found)


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    path: str,
    role: access.Rule,
    *,
    answer: type[BaseModel] | None = None,
    status: int = 0,
    query: type[BaseModel] | None = None,
    body: Body | None = None,
    also: tuple[int, ...] = (),
    media: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Make a function a call of the API, with this least role. Its docstring describes it."""

    def register(function: Function) -> Function:
        summary, _, text = (function.__doc__ or "").strip().partition("\n\n")
        status_ = status or (200 if answer or media else 204)
        made = Operation(
            function.__name__, method, path, role, summary.rstrip("."), " ".join(text.split()),
            answer, status_, query, body, also, media,
        )  # fmt: skip
        OPERATIONS.append(made)

        def call(**arguments: Any) -> Response:
            return _once(made, lambda: _perform(made, function, arguments))

        call.said = made.summary  # type: ignore[attr-defined]  # for the audit log
        access.allow(role)(call)
        blueprint.add_url_rule(
            path, function.__name__, call, methods=[method], provide_automatic_options=False
        )
        return function

    return register


def _once(made: Operation, run: Callable[[], Response]) -> Response:
    return idempotency.once(run) if made.method == "POST" else run()


def _perform(made: Operation, function: Callable[..., Any], arguments: dict[str, Any]) -> Response:
    if not all(names.is_clean(str(value)) for value in arguments.values()):
        raise NotFound("There is nothing at this address.")
    query = _query(made)
    if made.query is not None:
        arguments["query"] = query
    if made.body is not None:
        arguments["body"] = made.body.check(_sent(made.body))
    found = function(**arguments)
    return found if isinstance(found, Response) else _response(made, found)


def _query(made: Operation) -> BaseModel | None:
    """Return what the address asks for. Raises Invalid, also for what the call does not know."""
    data = names.snakify(request.args.to_dict())
    if made.query is None:
        if data:
            raise Invalid({names.to_camel(next(iter(data))): "This call takes no such parameter."})
        return None
    return inputs.validate(made.query, data)


def _sent(body: Body) -> dict[str, Any]:
    """Return the document that was sent, in snake_case. Raises BadRequest, UnsupportedMediaType, Invalid."""
    content = request.get_data()
    if body.optional and not (content or request.content_length or request.form or request.files):
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("What was sent is not JSON.") from error
    if not isinstance(document, dict):
        raise Invalid({"body": "Send a JSON object."})
    found: dict[str, Any] = names.snakify(document)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _response(made: Operation, found: Document | Given | None) -> Response:
    given = found if isinstance(found, Given) else Given(found)
    status = given.status or made.status
    if given.document is None:
        return Response(status=status, headers=dict(given.headers))
    text = json.dumps(names.camelize(to_jsonable_python(given.document)), ensure_ascii=False)
    return Response(text + "\n", status, dict(given.headers), mimetype="application/json")
