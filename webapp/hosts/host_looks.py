"""What is looked for on a host: what survives a backup, and what is in none."""

from __future__ import annotations

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from core.errors import HoldfastError, Invalid
from core.hosts import host_map, host_self_test, hosts
from webapp import answers, forms
from webapp.access import access
from webapp.hosts import host_pages

blueprint = Blueprint("host_looks", __name__, url_prefix="/hosts")


@blueprint.post("/<host_id>/self-test")
@access.allow("admin")
def self_test(host_id: str) -> ResponseReturnValue:
    """Back a nasty tree up and restore it, in a folder made for that on the host."""
    host_self_test.run(host_id)
    return _shown(host_id, "self-test")


@blueprint.post("/<host_id>/map")
@access.allow("admin")
def look(host_id: str) -> ResponseReturnValue:
    """Look around for what no config backs up."""
    try:
        host_map.look(host_id)
    except HoldfastError as error:
        return _shown(host_id, "map", error)
    return _shown(host_id, "map")


@blueprint.post("/<host_id>/blind-spots")
@access.allow("admin")
def blind_spots(host_id: str) -> ResponseReturnValue:
    """Begin a config of the places that were ticked, or remember that they are left out on purpose."""
    form = forms.sent()
    paths, action = form.values("path"), form.value("action")
    try:
        if action == "protect" and paths:
            return host_pages.begin_config(host_id, *host_map.to_protect(host_id, paths))
        host_map.leave_out(host_id, paths, on_purpose=action != "take_back")
    except Invalid as error:
        return _shown(host_id, "map", error)
    return _shown(host_id, "map")


def _shown(host_id: str, part: str, trouble: HoldfastError | None = None) -> ResponseReturnValue:
    """Return the part that has changed, or go to the page that has it."""
    host, status = hosts.get(host_id), 422 if trouble else 200
    values = {**host_pages.values(host), "look_trouble": trouble}
    if answers.is_fragment_request():
        name = "hosts/_self_test.html" if part == "self-test" else "hosts/_map.html"
        return answers.fragment(name, status, **values)
    if trouble:
        return host_pages.show_page(host, status=status, look_trouble=trouble)
    return answers.see_other(url_for("hosts.show", host_id=host_id, _anchor=part))
