"""One webhook: told of each alert when it opens and when it is resolved; tried again by the tick."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from core import instance
from core.db import db, utc_now, write
from core.errors import Invalid
from core.models import Alert
from core.webhook_sender import ReceiverGone, WebhookFailed, check_url, send

# Waits double from a minute to an hour; after these tries, more than a day, the news is old.
MOST_ATTEMPTS = 30
LONGEST_WAIT = timedelta(hours=1)
# The tick has more to do than to wait for a receiver.
LONGEST_ROUND_S = 30.0
_URL = "webhook_url"


def set_url(url: str) -> None:
    """Set where alerts go from now on; empty: nowhere. Raises Invalid (`url`)."""
    url = url.strip()
    if url:
        check_url(url)
    now = utc_now()
    with write() as session:
        instance.set_secret_in(session, _URL, url or None)
        session.execute(update(Alert).where(_opening_untold()).values(notified_at=now, notify_error=""))
        session.execute(update(Alert).where(_end_untold()).values(resolve_notified_at=now, notify_error=""))


def is_set() -> bool:
    """Tell whether there is a webhook."""
    return instance.get(_URL) is not None


def shown_url() -> str:
    """Return scheme and host of the address, without what may be secret in it; "" if there is none."""
    url = instance.get_secret(_URL)
    if url is None:
        return ""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def test() -> str:
    """Send a message that is only a test; return a sentence. Raises WebhookFailed, Invalid."""
    url = instance.get_secret(_URL)
    if url is None:
        raise Invalid({"url": "There is no webhook yet: set its address first."})
    send(
        url,
        {
            "event": "test",
            "text": "Holdfast: this is a test message.",
            "instance": instance.get("instance_id"),
        },
    )
    return "The receiver has taken the test message."


def deliver(now: datetime | None = None) -> int:
    """Send what the receiver was not told of yet and is due; return how many messages it took.

    A receiver that is gone is left alone until the next round. Each failure is noted on the alert's row.
    """
    now = now or utc_now()
    url = instance.get_secret(_URL)
    if url is None:
        return 0
    taken, end = 0, time.monotonic() + LONGEST_ROUND_S
    for alert_id in _waiting(now):
        if time.monotonic() > end:
            break
        try:
            taken += _tell(url, alert_id, now)
        except ReceiverGone:
            break
    return taken


def _waiting(now: datetime) -> Sequence[int]:
    query = select(Alert).where(or_(_opening_untold(), _end_untold()), Alert.notify_attempts < MOST_ATTEMPTS)
    return [alert.id for alert in db.session.scalars(query.order_by(Alert.id)) if _is_time(alert, now)]


def _is_time(alert: Alert, now: datetime) -> bool:
    if alert.notify_tried_at is None or alert.notify_tried_at > now:
        return True
    pause = min(LONGEST_WAIT, timedelta(minutes=2 ** min(alert.notify_attempts - 1, 10)))
    return now >= alert.notify_tried_at + pause


def _tell(url: str, alert_id: int, now: datetime) -> int:
    """Send the next message about an alert; return 1 if it was taken, 0 if not. Raises ReceiverGone."""
    alert = db.session.get_one(Alert, alert_id, populate_existing=True)
    event = "alert.opened" if alert.notified_at is None else "alert.resolved"
    message = _message(event, alert)
    db.session.rollback()  # no transaction stays open while a stranger takes their time
    try:
        send(url, message)
    except WebhookFailed as error:
        _note_failure(alert_id, str(error), now)
        if isinstance(error, ReceiverGone):
            raise
        return 0
    with write() as session:
        _note_success(session, alert_id, event, now)
    return 1


def _message(event: str, alert: Alert) -> dict[str, Any]:
    """Return what the receiver gets. `text` is what chat services show."""
    mark = "Resolved: " if event == "alert.resolved" else ""
    return {
        "event": event,
        "text": f"Holdfast: {mark}{alert.what}",
        "instance": instance.get("instance_id"),
        "alert": {
            "id": alert.id,
            "subject": alert.subject,
            "kind": alert.kind,
            "severity": alert.severity,
            "what": alert.what,
            "meaning": alert.meaning,
            "advice": alert.advice,
            "config_id": alert.config_id,
            "job_id": alert.job_id,
            "storage_id": alert.storage_id,
            "count": alert.count,
            "opened_at": alert.opened_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        },
    }


def _note_failure(alert_id: int, reason: str, now: datetime) -> None:
    with write() as session:
        alert = session.get_one(Alert, alert_id)
        alert.notify_attempts += 1
        alert.notify_tried_at, alert.notify_error = now, reason


def _note_success(session: Session, alert_id: int, event: str, now: datetime) -> None:
    alert = session.get_one(Alert, alert_id)
    if event == "alert.opened":
        alert.notified_at = now
    else:
        alert.resolve_notified_at = now
    alert.notify_attempts, alert.notify_tried_at, alert.notify_error = 0, None, ""


def _opening_untold() -> ColumnElement[bool]:
    return Alert.notified_at.is_(None)


def _end_untold() -> ColumnElement[bool]:
    return and_(Alert.resolved_at.is_not(None), Alert.resolve_notified_at.is_(None))
