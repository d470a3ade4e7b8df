"""First start in the browser: admin, storage, recovery key, first config."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core import app_state, setup
from core.configs import configs
from core.errors import Conflict, HoldfastError, Refused
from core.storages import recovery
from webapp import forms
from webapp.access import access
from webapp.configs import config_form, config_words
from webapp.configs import configs as config_views

blueprint = Blueprint("setup", __name__, url_prefix="/setup")

STEPS = (
    ("admin", "Your account"),
    ("storage", "Where to keep backups"),
    ("recovery", "Recovery key"),
    ("config", "What to back up"),
)


@blueprint.get("")
@access.allow("anyone")
def admin() -> ResponseReturnValue:
    """Show the form for the first admin to who comes by the one-time link; others learn where it is."""
    if setup.stage() != "admin":
        return _next_step()
    token = request.args.get("token", "")
    form = forms.Form({"token": token})
    return render_template("setup/admin.html", form=form, known=setup.token_matches(token), given=bool(token))


@blueprint.post("")
@access.allow("anyone")
def create_admin() -> ResponseReturnValue:
    """Make the first admin and log them in."""
    form = forms.sent()
    if form.value("password") != form.value("again"):
        form.errors["again"] = "The two passwords differ."
    try:
        if not form.errors:
            found = setup.create_admin(form.value("token"), form.value("name"), form.value("password"))
            return access.log_in(redirect(url_for("setup.storage"), 303), found)
    except HoldfastError as error:
        form.refuse(error)
    return render_template("setup/admin.html", form=form, known=True, given=True), 422


@blueprint.get("/storage")
@access.allow("admin")
def storage() -> ResponseReturnValue:
    """Ask where to keep backups."""
    if setup.has_repository():
        return _next_step()
    return render_template("setup/storage.html", form=forms.Form({"path": app_state.settings().backup_dir}))


@blueprint.post("/storage")
@access.allow("admin")
def create_storage() -> ResponseReturnValue:
    """Initialise the first storage."""
    form = forms.sent()
    try:
        setup.create_first_storage(form.value("path"), form.value("existing_key"))
    except Conflict:
        return _next_step()  # sent twice, or by two people: it is there
    except HoldfastError as error:
        return render_template("setup/storage.html", form=form.refuse(error, "path")), 422
    return _next_step()


@blueprint.get("/recovery")
@access.allow("admin")
def recovery_key() -> ResponseReturnValue:
    """Show the recovery key, until it is confirmed; one that was given is only asked for."""
    if setup.stage() == "storage" or recovery.confirmed():
        return _next_step()
    try:
        key = setup.recovery_key()
    except Refused:
        return redirect(url_for("setup.confirm"), 303)
    return render_template("setup/recovery.html", key=key, groups=key.split("-"))


@blueprint.get("/recovery/file")
@access.allow("admin")
def recovery_file() -> ResponseReturnValue:
    """Download the recovery key as a text, until it is confirmed."""
    text = render_template("setup/recovery.txt", key=setup.recovery_key())
    headers = {"Content-Disposition": 'attachment; filename="holdfast-recovery-key.txt"'}
    return Response(text, mimetype="text/plain", headers=headers)


@blueprint.get("/recovery/confirm")
@access.allow("admin")
def confirm() -> ResponseReturnValue:
    """Ask for parts of the key."""
    if setup.stage() == "storage" or recovery.confirmed():
        return _next_step()
    return _confirm_page(forms.Form(), 200)


@blueprint.post("/recovery/confirm")
@access.allow("admin")
def confirm_parts() -> ResponseReturnValue:
    """Take the parts that were typed back."""
    form = forms.sent()
    try:
        setup.confirm_recovery_key([form.value(f"part_{place}") for place in setup.recovery_challenge()])
    except HoldfastError as error:
        return _confirm_page(form.refuse(error), 422)
    return _next_step()


@blueprint.get("/config")
@access.allow("admin")
def config() -> ResponseReturnValue:
    """Ask what to back up first."""
    if setup.stage() != "config":
        return _next_step()
    form = config_form.from_input(configs.offered())
    return render_template("setup/config.html", form=form, summary=config_words.summarise(form))


@blueprint.post("/config")
@access.allow("admin")
def create_config() -> ResponseReturnValue:
    """Make the first config as any other; what is wrong with it is said here, at a step of set-up."""
    return config_views.create()


def _confirm_page(form: forms.Form, status: int) -> ResponseReturnValue:
    page = render_template(
        "setup/confirm.html", form=form, asked=setup.recovery_challenge(), given=recovery.was_given()
    )
    return page, status


def _next_step() -> ResponseReturnValue:
    stage = setup.stage()
    if not access.may("admin"):
        return redirect(url_for("setup.admin" if stage == "admin" else "sessions.login"), 303)
    target = {"storage": "setup.storage", "recovery": "setup.recovery_key", "config": "setup.config"}
    return redirect(url_for(target.get(stage, "overview.index")), 303)
