"""`Idempotency-Key`: a POST that is sent again, because its answer was lost, is not done again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

from flask import Response, g, request

from core import secrets
from core.access import kept_answers
from core.errors import Invalid

HEADER = "Idempotency-Key"
LONGEST = 200
_KEPT_HEADERS = ("Location",)


def once(run: Callable[[], Response]) -> Response:
    """Return the answer of `run`, or the one that was kept for this key.

    Only what was done is kept: an error may be mended, and the call sent again with the same key. Raises
    Invalid for a key that is none, or was sent with something else; Conflict while the first is being done.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return run()
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise Invalid({HEADER: f"A key has 1 to {LONGEST} visible characters."})
    caller, asked = _caller(), _request_hash()
    kept = kept_answers.begin(caller, key, asked)
    if kept is not None:
        return _again(kept)
    try:
        response = run()
    except BaseException:
        kept_answers.drop(caller, key)
        raise
    if response.status_code < 300 and not response.is_streamed:
        kept_answers.keep(caller, key, response.status_code, _packed(response))
    else:
        kept_answers.drop(caller, key)
    return response


def _caller() -> str:
    return f"token:{g.token.id}" if g.token is not None else f"user:{g.user.id}"


def _request_hash() -> str:
    return mark(f"{request.method} {request.full_path} ".encode() + request.get_data())


def mark(what: bytes) -> str:
    """Return what a call is known by. A bare hash would let a password in it be guessed at."""
    return hmac.new(secrets.derive("idempotency"), what, hashlib.sha256).hexdigest()


def _packed(response: Response) -> str:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = base64.b64encode(response.get_data()).decode()
    return json.dumps({"headers": headers, "mimetype": response.mimetype, "body": body})


def _again(kept: kept_answers.Kept) -> Response:
    found = json.loads(kept.answer)
    response = Response(base64.b64decode(found["body"]), kept.status, found["headers"], found["mimetype"])
    response.headers["Idempotency-Replayed"] = "true"
    return response
