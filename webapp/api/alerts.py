"""Calls about alerts: list, look, acknowledge, resolve."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.alerting import alerts
from core.models import Alert
from webapp.access import access
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out


class AlertOut(Out):
    """What needs a person: what happened, what it means, what to do."""

    id: int
    kind: str
    severity: str
    what: str
    meaning: str
    advice: str
    config_id: str | None
    job_id: int | None
    storage_id: str | None
    count: int
    opened_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    resolved_at: datetime | None


@door.operation("GET", "/backup/alerts", "viewer", query=queries.AlertQuery, answer=ListOut[AlertOut])
def list_alerts(query: queries.AlertQuery) -> Any:
    """List the open alerts, errors first, or those that were resolved last."""
    found = (
        alerts.list_open(config_id=query.config)
        if query.state == "open"
        else [each for each in alerts.list_recent() if query.config in (None, each.config_id)]
    )
    return answers.part(found, _given, query)


@door.operation("GET", "/backup/alerts/<int:alert_id>", "viewer", answer=AlertOut)
def get_alert(alert_id: int) -> AlertOut:
    """Return an alert."""
    return _given(alerts.get(alert_id))


@door.operation("POST", "/backup/alerts/<int:alert_id>/acknowledge", "operator", answer=AlertOut)
def acknowledge_alert(alert_id: int) -> AlertOut:
    """Note that the caller has seen it; it stays open."""
    return _given(alerts.acknowledge(alert_id, access.user()))


@door.operation("POST", "/backup/alerts/<int:alert_id>/resolve", "operator", answer=AlertOut)
def resolve_alert(alert_id: int) -> AlertOut:
    """Close an alert by hand; the same trouble opens a new one."""
    return _given(alerts.resolve_by_hand(alert_id))


def _given(row: Alert) -> AlertOut:
    """Return an alert as it is given."""
    return AlertOut.model_validate({name: getattr(row, name) for name in AlertOut.model_fields})
