"""Mutes: channels say nothing of some alerts for a while. The alerts stay open and on their page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from core.db import db, utc_now, write
from core.errors import Invalid, NotFound
from core.models import Alert, Config, Mute

LONGEST = timedelta(days=90)
# What is offered, in hours.
CHOICES = (1, 8, 24, 24 * 7, 24 * 30)


def mute(hours: int, by: str, *, config_id: str | None = None, kind: str = "") -> Mute:
    """Mute alerts of a config (None: of any) and kind ("": any) from now on. Raises Invalid, NotFound."""
    if not 0 < hours <= LONGEST // timedelta(hours=1):
        raise Invalid({"hours": f"Alerts are muted for an hour to {LONGEST.days} days."})
    now = utc_now()
    with write() as session:
        if config_id is not None and session.get(Config, config_id) is None:
            raise NotFound(f"There is no config {config_id!r}.")
        made = Mute(config_id=config_id, kind=kind, until=now + timedelta(hours=hours), muted_by=by)
        session.add(made)
        session.flush()
        return made


def mute_like(alert_id: int, hours: int, by: str) -> Mute:
    """Mute what is of the kind, and of the config, if any, of an alert. Raises Invalid, NotFound."""
    alert = db.session.get(Alert, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return mute(hours, by, config_id=alert.config_id, kind=alert.kind)


def end(mute_id: int) -> None:
    """End a mute now; what is still open and was not told is told then. Raises NotFound."""
    with write() as session:
        found = session.get(Mute, mute_id)
        if found is None:
            raise NotFound(f"There is no mute {mute_id}.")
        found.until = min(found.until, utc_now())


def active(now: datetime | None = None) -> Sequence[Mute]:
    """Return what is muted now, what ends first first."""
    now = now or utc_now()
    # One that lies further off than any can was made under a clock that was ahead.
    query = select(Mute).where(Mute.until > now, Mute.until <= now + LONGEST).order_by(Mute.until, Mute.id)
    return db.session.scalars(query).all()


def muted_by(alert: Alert, mutes: Sequence[Mute]) -> Mute | None:
    """Return the one of these mutes that an alert falls under, the longest."""
    return next((each for each in reversed(mutes) if _fits(each, alert)), None)


def _fits(found: Mute, alert: Alert) -> bool:
    return found.config_id in (None, alert.config_id) and found.kind in ("", alert.kind)
