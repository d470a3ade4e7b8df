"""Calls about alerts: list, look, acknowledge, resolve."""

from __future__ import annotations

from typing import Any

from core.alerting import alerts
from webapp import access
from webapp.api import answers, door, queries
from webapp.api.answers import AlertOut, ListOut


@door.operation("GET", "/backup/alerts", "viewer", query=queries.AlertQuery, answer=ListOut[AlertOut])
def list_alerts(query: queries.AlertQuery) -> Any:
    """List the open alerts, errors first, or those that were resolved last."""
    found = (
        alerts.list_open(config_id=query.config)
        if query.state == "open"
        else [each for each in alerts.list_recent() if query.config in (None, each.config_id)]
    )
    return answers.part(found, answers.alert, query)


@door.operation("GET", "/backup/alerts/<int:alert_id>", "viewer", answer=AlertOut)
def get_alert(alert_id: int) -> AlertOut:
    """Return an alert."""
    return answers.alert(alerts.get(alert_id))


@door.operation("POST", "/backup/alerts/<int:alert_id>/acknowledge", "operator", answer=AlertOut)
def acknowledge_alert(alert_id: int) -> AlertOut:
    """Note that the caller has seen it; it stays open."""
    return answers.alert(alerts.acknowledge(alert_id, access.user()))


@door.operation("POST", "/backup/alerts/<int:alert_id>/resolve", "operator", answer=AlertOut)
def resolve_alert(alert_id: int) -> AlertOut:
    """Close an alert by hand; the same trouble opens a new one."""
    return answers.alert(alerts.resolve_by_hand(alert_id))
