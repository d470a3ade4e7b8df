"""Errors of the API: `application/problem+json`, RFC 9457, with what to do and the fields it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from flask import Response, request

MIME = "application/problem+json"
ROOT = "/api"


def is_api() -> bool:
    """Tell whether this request is for the API, known address or not."""
    return request.path == ROOT or request.path.startswith(ROOT + "/")


def problem(
    status: int, detail: str, advice: str = "", fields: Mapping[str, str] | None = None, error_id: str = ""
) -> Response:
    """Return an error. `fields`: a sentence by field, as the fields are called in JSON."""
    document: dict[str, object] = {
        "type": "about:blank", "title": _title(status), "status": status, "detail": detail,
    }  # fmt: skip
    if advice:
        document["advice"] = advice
    if fields:
        document["errors"] = [{"field": name, "reason": text} for name, text in fields.items()]
    if error_id:
        document["errorId"] = error_id
    return Response(json.dumps(document), status, mimetype=MIME)


def unauthorized() -> Response:
    """Return what somebody gets who is nobody."""
    response = problem(
        401, "This needs a valid token or login.",
        "Send the header `Authorization: Bearer …` with a token that is neither expired nor revoked.",
    )  # fmt: skip
    response.headers["WWW-Authenticate"] = 'Bearer realm="Holdfast"'
    return response


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
