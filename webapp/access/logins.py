"""One's own logins: where they are, and ending them."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.access import sessions
from webapp import answers
from webapp.access import access

blueprint = Blueprint("logins", __name__, url_prefix="/logins")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List one's own logins, the one seen last first."""
    found = sessions.list_of(access.user())
    return render_template("logins/index.html", logins=found, own=sessions.id_of(_token()))


@blueprint.post("/<int:login_id>/end")
@access.allow("viewer")
def end(login_id: int) -> ResponseReturnValue:
    """End one of one's own logins."""
    sessions.end_of(access.user(), login_id)
    return answers.see_other(url_for("logins.index"), "That login is over.")


@blueprint.post("/end-others")
@access.allow("viewer")
def end_others() -> ResponseReturnValue:
    """End all of one's own logins but this one."""
    sessions.end_all(access.user(), keep_token=_token())
    return answers.see_other(url_for("logins.index"), "All your other logins are over.")


def _token() -> str:
    return request.cookies.get(access.COOKIE, "")
