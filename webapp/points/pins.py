"""Pins of points: set with a note, taken away."""

from __future__ import annotations

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from core.errors import Invalid
from core.retention import pins
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("pins", __name__, url_prefix="/points")


@blueprint.post("/<int:point_id>/pin")
@access.allow("operator")
def pin(point_id: int) -> ResponseReturnValue:
    """Keep a point whatever the rules say."""
    try:
        pins.pin(point_id, forms.sent().value("note"), access.user().name)
    except Invalid as error:
        return _back(point_id, str(error), "bad")
    return _back(point_id, "The point is pinned: no rule removes it.")


@blueprint.post("/<int:point_id>/unpin")
@access.allow("admin")
def unpin(point_id: int) -> ResponseReturnValue:
    """Let the rules decide about a point again."""
    pins.unpin(point_id)
    return _back(point_id, "The pin is taken away: its rule decides about this point again.", "warn")


def _back(point_id: int, message: str, tone: str = "good") -> ResponseReturnValue:
    return answers.see_other(url_for("points.show", point_id=point_id), message, tone)
