"""Storages: where backups are kept, how full, and whether they answer."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core import storages
from core.errors import Unreachable
from core.models import Storage
from webapp import access, answers

blueprint = Blueprint("storages", __name__, url_prefix="/storages")


@dataclass(frozen=True, slots=True)
class Shown:
    """A storage with how full it is; `trouble` says why that is unknown."""

    storage: Storage
    usage: storages.Usage | None
    trouble: str


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the storages."""
    return render_template("storages/index.html", shown=[_look(one) for one in storages.list_all()])


@blueprint.post("/<storage_id>/test")
@access.allow("operator")
def test(storage_id: str) -> ResponseReturnValue:
    """Write, read and delete a probe; say how it went."""
    try:
        sentence, tone = storages.test(storages.get(storage_id)), "good"
    except Unreachable as error:
        sentence, tone = str(error), "bad"
    if answers.is_fragment_request():
        shown = _look(storages.get(storage_id))
        return answers.fragment("storages/_storage.html", item=shown, tested=sentence, tone=tone)
    return answers.see_other(url_for("storages.index"), sentence, tone)


def _look(storage: Storage) -> Shown:
    try:
        storages.open_adapter(storage)  # how full it is may be minutes old, whether it is there must not
        return Shown(storage, storages.usage(storage), "")
    except Unreachable as error:
        return Shown(storage, None, str(error))
