"""The second factor: turned on with an app, asked for after the password, turned off with the password."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import segno
from flask import Blueprint, Response, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from core import secrets
from core.access import second_factor, users
from core.errors import HoldfastError
from core.models import User
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("second_factor", __name__)

_PENDING = "second_factor"
_CODES = "recovery_codes"
# So long after the password a code is waited for.
PENDING_S = 300


@blueprint.get("/second-factor")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Show whether one's own login needs a code, and how to turn that on."""
    return _page(forms.Form())


@blueprint.post("/second-factor")
@access.allow("viewer")
def begin() -> ResponseReturnValue:
    """Make a secret for an app."""
    second_factor.begin(access.user().id)
    return answers.see_other(url_for("second_factor.index"))


@blueprint.post("/second-factor/confirm")
@access.allow("viewer")
def confirm() -> ResponseReturnValue:
    """Turn the second factor on, with a code that the app shows."""
    form = forms.sent()
    try:
        codes = second_factor.confirm(access.user().id, form.value("code"))
    except HoldfastError as error:
        return _page(form.refuse(error, "code"), 422)
    session[_CODES] = _sealed(codes)
    return answers.see_other(url_for("second_factor.index"), "From now on, a login needs a code, too.")


@blueprint.post("/second-factor/off")
@access.allow("viewer")
def turn_off() -> ResponseReturnValue:
    """Turn the second factor off, with the password."""
    form, me = forms.sent(), access.user()
    name, user_id = me.name, me.id
    try:
        users.authenticate(name, form.value("password"), request.remote_addr or "")
    except HoldfastError as error:
        text = str(error) if isinstance(error, users.TooManyAttempts) else "This is not your password."
        form.errors["password"] = text
        return _page(form, 422)
    second_factor.turn_off(user_id)
    return answers.see_other(url_for("second_factor.index"), "A login needs the password alone now.", "warn")


@blueprint.get("/login/code")
@access.allow("anyone")
def ask() -> ResponseReturnValue:
    """Ask for the code, after the password."""
    if _pending() is None:
        return redirect(url_for("sessions.login"), 303)
    return render_template("second_factor/ask.html", form=forms.Form({"next": request.args.get("next", "")}))


@blueprint.post("/login/code")
@access.allow("anyone")
def enter() -> ResponseReturnValue:
    """Log in with the code."""
    form, found = forms.sent(), _pending()
    if found is None:
        return answers.see_other(url_for("sessions.login"), "That took too long: begin again.", "warn")
    user_id, g.half_logged_in = found.id, found.name
    try:
        second_factor.check(user_id, form.value("code"), request.remote_addr or "")
    except users.LoginFailed as error:
        return _asked_again(form.refuse(error, "code"))
    return access.log_in(redirect(access.own_path(form.value("next")), 303), users.get(user_id))


def _asked_again(form: forms.Form) -> Response:
    page = render_template("second_factor/ask.html", form=form)
    return Response(page, 422, mimetype="text/html")


def wait_for_code(found: User, target: str) -> ResponseReturnValue:
    """Remember that the password was right, and go on to the code."""
    session.clear()
    session[_PENDING] = _sealed([found.id, time.time(), _mark(found)])
    return redirect(url_for("second_factor.ask", next=target or None), 303)


def _pending() -> User | None:
    """Return whose password was right a moment ago; it may have been changed since, or they disabled."""
    sealed = session.get(_PENDING)
    if not sealed:
        return None
    user_id, began, mark = _unsealed(sealed)
    if not 0 <= time.time() - began <= PENDING_S:
        return None
    found = users.get(user_id)
    return found if found.disabled_at is None and _mark(found) == mark else None


def _mark(user: User) -> str:
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


def _page(form: forms.Form, status: int = 200) -> ResponseReturnValue:
    me, sealed = access.user(), session.pop(_CODES, None)
    secret = second_factor.secret_to_confirm(me)
    uri = second_factor.uri(me, secret) if secret else ""
    page = render_template(
        "second_factor/index.html",
        form=form,
        on=second_factor.is_on(me),
        left=second_factor.codes_left(me),
        secret=secret,
        uri=uri,
        picture=segno.make(uri, micro=False).svg_data_uri(scale=5, border=2, light="#fff") if uri else "",
        codes=_unsealed(sealed) if sealed else [],
    )
    return page, status


def _sealed(value: list[Any]) -> str:
    return secrets.seal(json.dumps(value), table="session", row=0, column="second_factor")


def _unsealed(sealed: str) -> list[Any]:
    found: list[Any] = json.loads(secrets.unseal(sealed, table="session", row=0, column="second_factor"))
    return found
