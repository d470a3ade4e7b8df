"""Who may open what: a login by cookie or a token, three roles, a rule on each view. No rule: nobody may.

What comes with a cookie must prove that it comes from a page of ours (CSRF); a token proves itself, and then
no cookie counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from flask import Flask, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from core import setup
from core.access import api_tokens, restore_rights, sessions
from core.access.roles import RANKS as RANKS
from core.access.roles import reaches
from core.models import ApiToken, User
from webapp import answers
from webapp.api import problems

COOKIE = "holdfast_login"
# What pages fetch again and again by themselves.
POLLED = frozenset({"overview.rail", "jobs.progress"})

Rule = Literal["anyone", "viewer", "operator", "admin"]
View = TypeVar("View", bound=Callable[..., Any])


def allow(rule: Rule) -> Callable[[View], View]:
    """Let a view be opened by anyone, or by those with this role or a higher one."""

    def mark(view: View) -> View:
        view.allowed = rule  # type: ignore[attr-defined]
        return view

    return mark


def rule_of(app: Flask, endpoint: str) -> Rule | None:
    """Return the rule of an endpoint; None: it has none, and stays closed."""
    if endpoint == "static":
        return "anyone"
    return getattr(app.view_functions[endpoint], "allowed", None)


def user() -> User:
    """Return who asks; only in views that are not for anyone."""
    found: User = g.user
    return found


def may(role: str) -> bool:
    """Tell whether who asks has this role or a higher one."""
    return g.get("user") is not None and reaches(g.user.role, role)


def may_restore() -> bool:
    """Tell whether who asks may restore anything: an admin, or an operator where folders are allowed."""
    return may("admin") or (may("operator") and restore_rights.any_allowed())


def log_in(response: Response, found: User) -> Response:
    """Begin a login and put its token in the cookie. What the browser had before is dropped."""
    session.clear()
    token = sessions.start(found, request.remote_addr or "", request.user_agent.string)
    g.user = found
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.LONGEST.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    return response


def log_out(response: Response) -> Response:
    """End the login and drop its cookie."""
    sessions.end(request.cookies.get(COOKIE, ""))
    session.clear()
    response.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def own_path(target: str | None) -> str:
    """Return `target` if it is a path of this site, else the Overview: a login never leads elsewhere."""
    # "//host" and "/\host" are other sites to a browser; blanks and controls are dropped by it.
    if not target or not target.startswith("/") or target[1:2] in ("/", "\\") or not target.isprintable():
        return url_for("overview.index")
    return target


def register(app: Flask) -> None:
    """Check each request before its view runs; give the templates `may`."""
    app.before_request(_guard)
    app.add_template_global(may)
    app.add_template_global(may_restore)


def _guard() -> ResponseReturnValue | None:
    g.token = _token() if problems.is_api() else None
    g.user = api_tokens.as_user(g.token) if g.token is not None else _who()
    if problems.is_api():
        return _guard_api()
    if request.endpoint is None:
        return None  # an unknown address: 404 or 405 comes next
    current_app.extensions["csrf"].protect()
    rule = rule_of(current_app, request.endpoint)
    if rule == "anyone":
        return None
    if g.user is None:
        return _ask_to_log_in()
    if rule is None or not may(rule):
        raise Forbidden
    return _lead_through_setup()


def _guard_api() -> ResponseReturnValue | None:
    """Never lead to a page: a script could not tell it from an answer. Strangers learn no addresses."""
    rule = None if request.endpoint is None else rule_of(current_app, request.endpoint)
    if rule == "anyone":
        return None
    if g.user is None:
        return problems.unauthorized()
    if request.endpoint is None:
        return None
    if g.token is None:
        current_app.extensions["csrf"].protect()
    if rule is None or not may(rule):
        raise Forbidden
    return None


def _bearer() -> str | None:
    """Return the token that was sent, "" for one in a form that is not ours; None if none was."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _token() -> ApiToken | None:
    text = _bearer()
    return api_tokens.resume(text, request.remote_addr or "") if text else None


def _who() -> User | None:
    """Return who is logged in. A page left open that asks for news by itself does not keep a login alive."""
    if COOKIE not in request.cookies or (problems.is_api() and _bearer() is not None):
        return None
    return sessions.resume(request.cookies[COOKIE], seen=request.endpoint not in POLLED)


def _ask_to_log_in() -> ResponseReturnValue:
    if setup.stage() == "admin":
        return redirect(url_for("setup.admin"), 303)
    here = request.full_path.rstrip("?") if request.method == "GET" else None
    if answers.is_fragment_request():
        return answers.go_to(url_for("sessions.login", next=answers.page_path()), 401)
    return redirect(url_for("sessions.login", next=here), 303)


def _lead_through_setup() -> ResponseReturnValue | None:
    """Send an admin to the step without which no other page makes sense: a place for backups."""
    page = request.method == "GET" and request.blueprint not in ("setup", "sessions", "settings")
    if page and may("admin") and not answers.is_fragment_request() and setup.stage() == "storage":
        return redirect(url_for("setup.storage"), 303)
    return None
