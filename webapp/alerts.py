"""Alerts: what needs a person, and what did."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core import alerts
from webapp import access, answers

blueprint = Blueprint("alerts", __name__, url_prefix="/alerts")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the open alerts, and those resolved last."""
    return render_template("alerts/index.html", open_alerts=alerts.list_open(), recent=alerts.list_recent())


@blueprint.post("/<int:alert_id>/acknowledge")
@access.allow("operator")
def acknowledge(alert_id: int) -> ResponseReturnValue:
    """Note that this person has seen it."""
    alerts.acknowledge(alert_id, access.user())
    return _answer(alert_id)


@blueprint.post("/<int:alert_id>/resolve")
@access.allow("operator")
def resolve(alert_id: int) -> ResponseReturnValue:
    """Close it by hand."""
    alerts.resolve_by_hand(alert_id)
    return _answer(alert_id)


def _answer(alert_id: int) -> ResponseReturnValue:
    if answers.is_fragment_request():
        return answers.fragment("alerts/_alert.html", alert=alerts.get(alert_id))
    return answers.see_other(url_for("alerts.index"))
