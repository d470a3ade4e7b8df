"""Remove points that no config looks after: say what it means, do it."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.errors import Conflict, NotFound, Refused
from core.retention import point_removal
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("removals", __name__, url_prefix="/points/removal")

NO_CONFIG = "none"  # in place of a config's id: all points that no config looks after


@blueprint.route("", methods=["GET", "POST"])
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Say what removing the points that were ticked means; many come by POST, a single one by a link."""
    chosen = _chosen()
    if not chosen:
        return answers.see_other(_back(), "Tick at least one point, then remove what is selected.", "warn")
    return _page(forms.sent(), chosen, 200)


@blueprint.post("/confirm")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Put them into the trash."""
    form, chosen = forms.sent(), _chosen()
    try:
        done = point_removal.remove(chosen, access.user().name, confirmed=bool(form.value("confirmed")))
    except Conflict as error:
        return _page(form.refuse(error), chosen, 422)
    except (NotFound, Refused) as error:
        return answers.see_other(_back(), str(error), "warn")
    number = formats.count(len(done.leaving), "point")
    message = f"{number} went to the trash. Until {formats.day(done.until)} they can be taken out of it."
    return answers.see_other(_back(), message)


def _page(form: forms.Form, chosen: list[int], status: int) -> ResponseReturnValue:
    removal = point_removal.look(chosen)
    page = render_template("removals/new.html", form=form, removal=removal, back=_back(), chosen=chosen)
    return page, status


def _chosen() -> list[int]:
    """Return the points that were ticked, or all of the list they stand in, if that was asked for."""
    everything = request.values.get("all", "")
    if everything:
        return point_removal.choose(config_id=None if everything == NO_CONFIG else everything)
    return list(dict.fromkeys(_numbers(request.values.getlist("point"))))


def _numbers(texts: list[str]) -> Iterator[int]:
    for text in texts:
        if text.isascii() and text.isdecimal() and len(text) < 18:
            yield int(text)


def _back() -> str:
    """Return the list that the person came from."""
    return url_for("points.index", config=request.values.get("config") or NO_CONFIG)
