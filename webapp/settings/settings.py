"""Settings: people, one's own password, and the way to what has pages of its own."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, flash, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core import setup
from core.access import restore_rights, second_factor, users
from core.errors import HoldfastError, Invalid
from core.messaging import channels
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

ROLES = (
    ("viewer", "Viewer", "sees states and names of files, never what is in them"),
    (
        "operator",
        "Operator",
        "also runs backups, handles alerts, restores where an admin allowed it",
    ),
    ("admin", "Admin", "everything: configs, restores, downloads, people"),
)


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Show the settings that this person may see."""
    return _page()


@blueprint.post("/password")
@access.allow("viewer")
def password() -> ResponseReturnValue:
    """Change one's own password; all other logins end, and API tokens are revoked."""
    form, me = forms.sent(), access.user()
    name, user_id = me.name, me.id
    try:
        _require_same(form, "new_password", "again")
        users.authenticate(name, form.value("present_password"), request.remote_addr or "")
        users.set_password(user_id, form.value("new_password"))
    except (users.LoginFailed, users.TooManyAttempts) as error:
        form.errors["present_password"] = (
            str(error) if isinstance(error, users.TooManyAttempts) else "This is not your present password."
        )
        return _page(form=form, status=422)
    except HoldfastError as error:
        form.errors["new_password"] = str(error)
        return _page(form=form, status=422)
    told = "Your password is changed. Your other logins have ended, and your API tokens are revoked."
    answer = answers.see_other(url_for("settings.index"), told)
    return _stay_logged_in(answer, user_id)


@blueprint.post("/restore-folders")
@access.allow("admin")
def restore_folders() -> ResponseReturnValue:
    """Set the folders below which operators may restore; empty: none."""
    form = forms.sent()
    try:
        found = restore_rights.set_folders(form.lines("folders"))
    except HoldfastError as error:
        return _page(folder_form=form.refuse(error, "folders"), status=422)
    return _back("Operators may restore there." if found else "Operators may restore nowhere.")


@blueprint.post("/users")
@access.allow("admin")
def add_user() -> ResponseReturnValue:
    """Make a user."""
    form = forms.sent()
    try:
        made = users.create(form.value("name"), form.value("password"), cast(users.Role, form.value("role")))
    except HoldfastError as error:
        return _page(user_form=form.refuse(error), status=422)
    return _back(f"{made.name} can log in now. Tell them the password in person; they can change it here.")


@blueprint.get("/users/<int:user_id>")
@access.allow("admin")
def user(user_id: int) -> ResponseReturnValue:
    """Show one user: role, password, disable."""
    found = users.get(user_id)
    return render_template(
        "settings/user.html", found=found, form=forms.Form({"role": found.role}), roles=ROLES
    )


@blueprint.post("/users/<int:user_id>/role")
@access.allow("admin")
def set_role(user_id: int) -> ResponseReturnValue:
    """Change what a user may do."""
    users.set_role(user_id, cast(users.Role, forms.sent().value("role")))
    return _back("The role is changed, from their next click on.")


@blueprint.post("/users/<int:user_id>/password")
@access.allow("admin")
def set_password(user_id: int) -> ResponseReturnValue:
    """Give a user a new password; their logins end, and their API tokens are revoked."""
    form, found = forms.sent(), users.get(user_id)
    try:
        users.set_password(user_id, form.value("password"))
    except HoldfastError as error:
        page = render_template("settings/user.html", found=found, form=form.refuse(error), roles=ROLES)
        return page, 422
    return _back(
        "The password is changed. All logins of that user have ended, and their API tokens are revoked."
    )


@blueprint.post("/users/<int:user_id>/reset-totp")
@access.allow("admin")
def reset_totp(user_id: int) -> ResponseReturnValue:
    """Turn a user's second factor off, who has lost it."""
    second_factor.turn_off(users.get(user_id).id)
    return _back("That user logs in with the password alone now.")


@blueprint.post("/users/<int:user_id>/disable")
@access.allow("admin")
def disable(user_id: int) -> ResponseReturnValue:
    """Keep a user out."""
    users.disable(user_id)
    return _back("The user is disabled. Their logins have ended, and their API tokens are revoked.")


@blueprint.post("/users/<int:user_id>/enable")
@access.allow("admin")
def enable(user_id: int) -> ResponseReturnValue:
    """Let a user in again."""
    users.enable(user_id)
    return _back("The user may log in again.")


def _page(
    *,
    form: forms.Form | None = None,
    user_form: forms.Form | None = None,
    folder_form: forms.Form | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    admin = access.may("admin")
    page = render_template(
        "settings/index.html",
        form=form or forms.Form(),
        folder_form=folder_form or forms.Form({"folders": "\n".join(restore_rights.folders())}),
        user_form=user_form or forms.Form({"role": "operator"}),
        people=users.list_all() if admin else [],
        channels=channels.list_all() if admin else [],
        notes=setup.notes(),
        roles=ROLES,
    )
    return page, status


def _require_same(form: forms.Form, first: str, second: str) -> None:
    if form.value(first) != form.value(second):
        raise Invalid({first: "The two passwords differ."})


def _stay_logged_in(answer: ResponseReturnValue, user_id: int) -> ResponseReturnValue:
    # A new password ends every login of its user, this one too: begin another, so that only the others end.
    response = access.log_in(make_response(answer), users.get(user_id))
    flash("Your password is changed, and your other logins have ended.", "good")
    return response


def _back(message: str) -> ResponseReturnValue:
    return answers.see_other(url_for("settings.index"), message)
