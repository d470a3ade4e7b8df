"""Answers: a fragment to htmx, a page or a redirect to everybody else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Response, flash, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue


def is_fragment_request() -> bool:
    """Tell whether htmx asks for a piece of a page (not for a whole one, as boosting or Back would)."""
    headers = request.headers
    whole = headers.get("HX-Boosted") == "true" or headers.get("HX-History-Restore-Request") == "true"
    return headers.get("HX-Request") == "true" and not whole


def page_path() -> str | None:
    """Return the path of the page that a fragment is asked for."""
    parts = urlsplit(request.headers.get("HX-Current-URL", ""))
    return f"{parts.path}?{parts.query}" if parts.query else parts.path or None


def fragment(
    template: str, status: int = 200, events: dict[str, Any] | None = None, **values: Any
) -> Response:
    """Render a fragment; `events` are fired in the page that takes it, each with its value."""
    response = make_response(render_template(template, **values), status)
    if events:
        detail = {name: {"value": value} for name, value in events.items()}
        response.headers["HX-Trigger"] = json.dumps(detail)
    return response


def see_other(url: str, message: str = "", tone: str = "good") -> ResponseReturnValue:
    """Send the browser on after a POST; the next page shows `message`."""
    if message:
        flash(message, tone)
    if tone == "bad":
        g.audit_result = "refused"
    return go_to(url) if is_fragment_request() else redirect(url, 303)


def note(text: str) -> None:
    """Let the audit log tell more of what this request was about than what was sent."""
    g.audit_more = [*g.get("audit_more", ()), text]


def note_refused(refused: Sequence[int], asked: int) -> None:
    """Let the audit log tell which of many were refused; if nothing was done, that is the result."""
    if refused and len(refused) == asked:
        g.audit_result = "refused"
    elif refused:
        note(f"{len(refused)} of {asked} refused: {', '.join(map(str, refused))}")


def go_to(url: str, status: int = 200) -> Response:
    """Make htmx load a whole page instead of taking a piece."""
    return Response(status=status, headers={"HX-Redirect": url})
