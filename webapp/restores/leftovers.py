"""Databases that restores left on a server: look at them, put one in place, drop one."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core import errors
from core.configs import configs
from core.models import Config
from core.restores import database_leftovers
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("leftovers", __name__, url_prefix="/leftovers")


@blueprint.get("/<config_id>")
@access.allow("admin")
def index(config_id: str) -> ResponseReturnValue:
    """List what restores left on a config's server."""
    return _page(_get(config_id), forms.Form())


@blueprint.post("/<config_id>/put-in-place")
@access.allow("admin")
def put_in_place(config_id: str) -> ResponseReturnValue:
    """Give one the name it is meant for; what has that name now is kept under another."""
    config, form = _get(config_id), forms.sent()
    try:
        kept = database_leftovers.put_in_place(config, form.value("name"))
    except errors.HoldfastError as error:
        return _page(config, form.refuse(error), 422)
    text = f"{form.value('name')} is in place. " + (f"What was there is kept as {kept}." if kept else "")
    return answers.see_other(url_for("leftovers.index", config_id=config_id), text.strip())


@blueprint.post("/<config_id>/drop")
@access.allow("admin")
def drop(config_id: str) -> ResponseReturnValue:
    """Drop one, whose name was typed."""
    config, form = _get(config_id), forms.sent()
    try:
        database_leftovers.drop(config, form.value("name"), form.value("typed").strip())
    except errors.HoldfastError as error:
        return _page(config, form.refuse(error), 422)
    url = url_for("leftovers.index", config_id=config_id)
    return answers.see_other(url, f"{form.value('name')} is dropped.")


def _page(config: Config, form: forms.Form, status: int = 200) -> ResponseReturnValue:
    """Render the list; a server that does not answer is said there."""
    try:
        found, trouble = database_leftovers.list_left(config), ""
    except errors.Refused as error:
        found, trouble = [], str(error)
    page = render_template("leftovers/index.html", config=config, found=found, trouble=trouble, form=form)
    return page, status


def _get(config_id: str) -> Config:
    config = configs.get(config_id, deleted=True)
    formats.use_zone_of(config)
    return config
