"""The map of this machine: what is on it, and in no backup."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core.errors import HoldfastError, Invalid
from core.hosts import here_map
from webapp import answers, forms
from webapp.access import access
from webapp.hosts import host_pages

blueprint = Blueprint("here_map", __name__, url_prefix="/hosts/this-machine")


@blueprint.get("")
@access.allow("admin")
def show() -> ResponseReturnValue:
    """Show the map as it was looked up last."""
    return _page()


@blueprint.post("/map")
@access.allow("admin")
def look() -> ResponseReturnValue:
    """Look around for what no config backs up."""
    try:
        here_map.look()
    except HoldfastError as error:
        return _shown(error)
    return _shown()


@blueprint.post("/blind-spots")
@access.allow("admin")
def blind_spots() -> ResponseReturnValue:
    """Begin a config of the places that were ticked, or remember that they are left out on purpose."""
    form = forms.sent()
    paths, action = form.values("path"), form.value("action")
    try:
        if action == "protect" and paths:
            return host_pages.begin_config(None, *here_map.to_protect(paths))
        here_map.leave_out(paths, on_purpose=action != "take_back")
    except Invalid as error:
        return _shown(error)
    return _shown()


def _shown(trouble: HoldfastError | None = None) -> ResponseReturnValue:
    """Return the part that has changed, or go to the page that has it."""
    if answers.is_fragment_request():
        return answers.fragment("hosts/_map.html", 422 if trouble else 200, **_values(trouble))
    return _page(trouble, 422) if trouble else answers.see_other(url_for("here_map.show", _anchor="map"))


def _page(trouble: HoldfastError | None = None, status: int = 200) -> ResponseReturnValue:
    return render_template("hosts/this_machine.html", **_values(trouble)), status


def _values(trouble: HoldfastError | None) -> dict[str, Any]:
    seen = here_map.last()
    machine = {
        "name": "this machine", "mapped_at": seen and seen.at, "command": "flask backup host map",
        "look_url": url_for("here_map.look"), "spots_url": url_for("here_map.blind_spots"),
    }  # fmt: skip
    return {"blind": seen and seen.map, "machine": machine, "look_trouble": trouble}
