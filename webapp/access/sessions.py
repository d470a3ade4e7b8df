"""Log in, log out, light or dark."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from core import setup
from core.access import second_factor as core_second_factor
from core.access import users
from webapp import forms
from webapp.access import access, second_factor

blueprint = Blueprint("sessions", __name__)

THEME_COOKIE = "holdfast_theme"
THEMES = ("light", "dark")
_YEAR_S = 365 * 86400


@blueprint.get("/login")
@access.allow("anyone")
def login() -> ResponseReturnValue:
    """Show the login form; to a fresh install, the way to set-up."""
    if setup.stage() == "admin":
        return redirect(url_for("setup.admin"), 303)
    return _login_page(forms.Form({"next": request.args.get("next", "")}), 200)


@blueprint.post("/login")
@access.allow("anyone")
def enter() -> ResponseReturnValue:
    """Log in and go on to the page that was asked for."""
    form = forms.sent()
    try:
        found = users.authenticate(form.value("name"), form.value("password"), request.remote_addr or "")
    except users.TooManyAttempts as error:
        page = _login_page(form.refuse(error, "login"), 429)
        page.headers["Retry-After"] = str(error.wait_s)
        return page
    except users.LoginFailed as error:
        return _login_page(form.refuse(error, "login"), 422)
    if core_second_factor.is_on(found):
        return second_factor.wait_for_code(found, form.value("next"))
    return access.log_in(redirect(access.own_path(form.value("next")), 303), found)


@blueprint.post("/logout")
@access.allow("anyone")
def logout() -> ResponseReturnValue:
    """End this login."""
    return access.log_out(redirect(url_for("sessions.login"), 303))


@blueprint.post("/theme")
@access.allow("anyone")
def theme() -> ResponseReturnValue:
    """Remember light or dark in a cookie, and come back."""
    response = redirect(access.own_path(request.form.get("next")), 303)
    if request.form.get("theme") in THEMES:
        response.set_cookie(
            THEME_COOKIE, request.form["theme"], max_age=_YEAR_S, samesite="Lax", secure=request.is_secure
        )
    return response


def chosen_theme() -> str:
    """Return "light" or "dark" as the person chose; empty: as the system has it."""
    found = request.cookies.get(THEME_COOKIE, "")
    return found if found in THEMES else ""


def _login_page(form: forms.Form, status: int) -> Response:
    return Response(render_template("sessions/login.html", form=form), status, mimetype="text/html")
