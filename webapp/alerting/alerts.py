"""Alerts: what needs a person, and what did."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core.alerting import alerts, mutes
from core.configs import configs
from core.errors import Invalid
from webapp import answers, formats, forms
from webapp.access import access
from webapp.alerting import alert_words

blueprint = Blueprint("alerts", __name__, url_prefix="/alerts")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the open alerts, and those resolved last."""
    opened, recent = alerts.list_open(), alerts.list_recent()
    alert_words.ask_together(opened, recent)
    return render_template(
        "alerts/index.html",
        open_alerts=opened,
        recent=recent,
        mutes=mutes.active(),
        mute_names={config.id: config.name for config in configs.names()},
    )


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


@blueprint.post("/<int:alert_id>/mute")
@access.allow("operator")
def mute(alert_id: int) -> ResponseReturnValue:
    """Let channels say nothing of alerts like this one for a while."""
    hours = forms.sent().value("hours")
    if not (hours.isascii() and hours.isdigit()):
        raise Invalid({"hours": "Say for how many hours."})
    made = mutes.mute_like(alert_id, int(hours[:6]), access.user().name)
    until = formats.exact(made.until)
    return answers.see_other(url_for("alerts.index"), f"Channels say nothing of this until {until}.")


@blueprint.post("/mutes/<int:mute_id>/end")
@access.allow("operator")
def end_mute(mute_id: int) -> ResponseReturnValue:
    """End a mute; what is open and was not told is told now."""
    mutes.end(mute_id)
    return answers.see_other(url_for("alerts.index"), "Channels are told again.")


def _answer(alert_id: int) -> ResponseReturnValue:
    if answers.is_fragment_request():
        return answers.fragment("alerts/_alert.html", alert=alerts.get(alert_id))
    return answers.see_other(url_for("alerts.index"))
