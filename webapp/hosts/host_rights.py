"""Where operators may restore to on a host: a part of its page."""

from __future__ import annotations

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from core.access import restore_rights
from core.errors import Invalid
from core.hosts import hosts
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("host_rights", __name__, url_prefix="/hosts")


@blueprint.post("/<host_id>/restore-folders")
@access.allow("admin")
def update(host_id: str) -> ResponseReturnValue:
    """Set the folders of a host below which operators may restore; empty: none."""
    back, name = url_for("hosts.show", host_id=host_id), hosts.get(host_id).name
    try:
        found = restore_rights.set_folders(forms.sent().lines("folders"), host_id)
    except Invalid as error:
        return answers.see_other(back, str(error), "bad")
    verb = "may restore there" if found else "restore nothing to it"
    return answers.see_other(back, f"{name} is saved: operators {verb}.")


@blueprint.app_template_global("host_restore_folders")
def folders(host_id: str) -> list[str]:
    """Return the folders of a host below which operators may restore."""
    return restore_rights.folders(host_id)


def machines() -> list[tuple[str, str]]:
    """Return where an operator may restore to: this machine, and hosts, by id and name."""
    here = [("", "This machine")] if restore_rights.folders() else []
    return here + [(each, hosts.name_of(each)) for each in restore_rights.allowed_hosts()]


def places() -> list[str]:
    """Return the folders that an operator may restore to, as a sentence names them."""
    there = [
        f"{folder} on {hosts.name_of(each)}"
        for each in restore_rights.allowed_hosts()
        for folder in restore_rights.folders(each)
    ]
    return [*restore_rights.folders(), *there]
