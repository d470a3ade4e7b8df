"""The alert about a clock that was set by more than a day."""

from __future__ import annotations

from datetime import timedelta

from core import clock
from core.alerting import alerts

_SUBJECT = "clock"


def watch() -> None:
    """Raise the alert while the clock is not to be trusted; resolve it when it is again."""
    moved = clock.jump()
    if moved is None:
        alerts.resolve(_SUBJECT)
        return
    if any(alert.subject == _SUBJECT for alert in alerts.list_open()):
        return  # the same trouble, minute by minute
    way = "forward" if moved > timedelta(0) else "back"
    hours = abs(moved).total_seconds() / 3600
    alerts.raise_alert(
        _SUBJECT,
        "clock",
        "error",
        f"The clock of this machine was set {way} by {hours:,.0f} hours.",
        "Backups go on, with that time on them. No point is removed until the clock can be trusted.",
        "Set the clock right. If it is right now, run `flask backup cleanup --accept-clock`.",
    )
