"""Pages for what went wrong, in the same tone as the rest. Details go to the log, never to the page."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping

from flask import Flask, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from core import errors
from core.jobs import outcomes
from core.storages import storages
from webapp import answers
from webapp.api import names, problems

_log = logging.getLogger(__name__)

_STATUS: dict[type[Exception], int] = {
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Refused: 409,
    errors.Unreachable: 503,
}

_WORDS = {
    400: ("This request was not complete.", "Go back, reload the page and try again."),
    403: ("This page is not for your role.", "Ask an admin if you need it."),
    404: ("There is nothing at this address.", "It may have been deleted, or the link has a mistake."),
    405: ("This address cannot be opened like that.", "Use the buttons of the page you came from."),
    413: ("That was too much for one request.", "Send less at once."),
}


# What an unreachable storage means to who looks at a page; that of a job is told to run again.
_AWAY = (
    "Check that its disk is connected and mounted there, or that its server answers; then open this page "
    "again. All points stay listed; looking into those that have no copy elsewhere waits for the storage."
)


def register(app: Flask) -> None:
    """Answer errors with pages."""
    app.register_error_handler(errors.HoldfastError, _holdfast_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: errors.HoldfastError) -> int:
    """Return the HTTP status that fits an error."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 409)


def page(
    status: int, what: str, advice: str, error_id: str = "", fields: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    """Return an error page; to htmx a fragment-less answer whose words are shown above the page; to the API
    a problem, with `fields` as JSON calls them."""
    if problems.is_api():
        named = {names.to_camel(name): text for name, text in (fields or {}).items()}
        return problems.problem(status, what, advice, named, error_id)
    if answers.is_fragment_request():
        words = f"{what} {advice}".strip()
        return answers.fragment("errors/_error.html", status, {"notice": words}, words=words)
    g.failed = True
    html = render_template("errors/error.html", status=status, what=what, advice=advice, error_id=error_id)
    return html, status


def _holdfast_error(error: errors.HoldfastError) -> ResponseReturnValue:
    advice = _AWAY if isinstance(error, errors.Unreachable) else error.advice
    return page(status_of(error), error.message, advice, fields=_fields(error))


def _fields(error: errors.HoldfastError) -> Mapping[str, str]:
    if isinstance(error, errors.Invalid):
        return error.fields
    return {error.field: error.message} if error.field else {}


def _csrf_error(error: CSRFError) -> ResponseReturnValue:
    if problems.is_api():
        advice = "Calls with a login's cookie need the header X-CSRFToken; calls with a token need none."
        return page(400, "The CSRF token is missing or no longer valid, so nothing was changed.", advice)
    return page(
        400,
        "The form you sent is no longer valid, so nothing was changed.",
        "This happens after logging out, or in a tab left open for long: go back, reload, and send it again.",
    )


def _http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()  # a redirect, such as for a missing slash
    said = (error.description or error.name, "" if problems.is_api() else "Go back and try again.")
    what, advice = said if problems.is_api() and status in (400, 405) else _WORDS.get(status, said)
    response = make_response(page(status, what, advice))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def said_of(error: Exception) -> errors.HoldfastError:
    """Return what to tell of one of outcomes.EXPECTED; the log is told more."""
    if isinstance(error, errors.HoldfastError):
        return error
    found = storages.gone_behind(storages.list_all(), error, sure=False)
    said = outcomes.explain(found, "")
    _log.warning("%s %s: %s", request.method, request.path, said.detail)
    advice = _AWAY if isinstance(found, errors.Unreachable) else said.advice
    return errors.HoldfastError(said.summary, advice)


def _unexpected(error: Exception) -> ResponseReturnValue:
    if isinstance(error, outcomes.EXPECTED):
        # A storage or a repository failed: the world's doing, and core has the words for it.
        said = said_of(error)
        return page(503, said.message, said.advice)
    error_id = secrets.token_hex(4)
    _log.error("error %s at %s %s", error_id, request.method, request.path, exc_info=error)
    return page(
        500,
        "Something in Holdfast itself went wrong. Your backups are not touched by that.",
        f"Try again. If it stays, look for “error {error_id}” in the log of the web process.",
        error_id,
    )
