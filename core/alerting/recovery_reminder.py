"""The alert about a recovery key that nobody has confirmed to have."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from core.alerting import alerts
from core.db import db, utc_now
from core.models import Storage
from core.storages import recovery

REMIND_AFTER = timedelta(days=1)
INSIST_AFTER = timedelta(days=7)
_SUBJECT = "recovery-key"


def watch(now: datetime | None = None) -> None:
    """Raise the alert a day after set-up, as an error after a week; resolve it once the key is confirmed."""
    now = now or utc_now()
    since = db.session.scalar(select(func.min(Storage.created_at)))
    if since is None or now - since < REMIND_AFTER or recovery.confirmed():
        alerts.resolve(_SUBJECT)
        return
    severity = "error" if now - since >= INSIST_AFTER else "warning"
    if any(each.subject == _SUBJECT and each.severity == severity for each in alerts.list_open()):
        return  # the same trouble, minute by minute
    alerts.raise_alert(
        _SUBJECT, "recovery", severity,
        "Nobody has confirmed to have the recovery key.",
        "If this machine is lost and nobody has the key, no backup can ever be read again.",
        "Open the Overview as an admin: it leads to where the key is saved and confirmed.",
    )  # fmt: skip
