"""Alerts: what needs a person. One open row a subject; a repeat only counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db import db, utc_now, write
from core.errors import NotFound
from core.models import Alert, User

RECENT = 100


def raise_alert(
    subject: str,
    kind: str,
    severity: str,
    what: str,
    meaning: str,
    advice: str,
    detail: str = "",
    *,
    config_id: str | None = None,
    job_id: int | None = None,
    storage_id: str | None = None,
) -> Alert:
    """Open an alert, or note that the open one of this subject happened again (its texts are renewed).

    One that was a warning and now is an error is told anew, and nobody has acknowledged it any more.
    """
    texts = {"kind": kind, "severity": severity, "what": what, "meaning": meaning, "advice": advice}
    about = {"config_id": config_id, "job_id": job_id, "storage_id": storage_id}
    with write() as session:
        return raise_in(session, subject, **texts, detail=detail, **about)


def raise_in(session: Session, subject: str, **values: str | int | None) -> Alert:
    """Do the same in the caller's transaction: an alert that must not be lost with what it is about."""
    now = utc_now()
    alert = _open_alert(session, subject)
    if alert is None:
        alert = Alert(subject=subject, opened_at=now, news=1, news_at=now, count=0)
        session.add(alert)
    if alert.severity == "warning" and values.get("severity") == "error":
        _tell_anew(alert, now)
    alert.count += 1
    alert.last_at = now
    for name, value in values.items():
        setattr(alert, name, value)
    return alert


def _tell_anew(alert: Alert, now: datetime) -> None:
    """Let it count as news: that somebody knew of the warning does not mean they know of the failure."""
    alert.news, alert.news_at = alert.news + 1, now
    alert.acknowledged_at, alert.acknowledged_by = None, ""


def resolve(subject: str) -> bool:
    """Close the open alert of this subject, if there is one; tell whether there was."""
    # A look before the writing transaction: good runs resolve all the time, and mostly there is nothing.
    if (
        db.session.scalar(select(Alert.id).where(Alert.subject == subject, Alert.resolved_at.is_(None)))
        is None
    ):
        return False
    with write() as session:
        return resolve_in(session, subject)


def resolve_in(session: Session, subject: str) -> bool:
    """Do the same in the caller's transaction."""
    alert = _open_alert(session, subject)
    if alert is not None:
        alert.resolved_at = utc_now()
    return alert is not None


def resolve_of_config_in(session: Session, config_id: str) -> None:
    """Close all open alerts about a config, in the caller's transaction."""
    about = update(Alert).where(Alert.config_id == config_id, Alert.resolved_at.is_(None))
    session.execute(about.values(resolved_at=utc_now()))


def is_open(subject: str) -> bool:
    """Tell whether there is an open alert of this subject."""
    return _open_alert(db.session(), subject) is not None


def acknowledge(alert_id: int, user: User) -> Alert:
    """Note that a person has seen it; it stays open. The first one's name stays. Raises NotFound."""
    return acknowledge_as(alert_id, user.name)


def acknowledge_as(alert_id: int, name: str) -> Alert:
    """Do the same for who is known by name only, such as the command line."""
    with write() as session:
        alert = session.get(Alert, alert_id)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        if alert.acknowledged_at is None:
            alert.acknowledged_at, alert.acknowledged_by = utc_now(), name
        return alert


def resolve_by_hand(alert_id: int) -> Alert:
    """Close an alert because a person says so; the same trouble opens a new one. Raises NotFound."""
    with write() as session:
        alert = session.get(Alert, alert_id)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.")
        alert.resolved_at = alert.resolved_at or utc_now()
        return alert


def get(alert_id: int) -> Alert:
    """Return an alert. Raises NotFound."""
    alert = db.session.get(Alert, alert_id)
    if alert is None:
        raise NotFound(f"There is no alert {alert_id}.")
    return alert


def list_open(*, config_id: str | None = None) -> Sequence[Alert]:
    """Return the open alerts, errors first, then the newest first; of one config, or all."""
    query = select(Alert).where(Alert.resolved_at.is_(None))
    if config_id is not None:
        query = query.where(Alert.config_id == config_id)
    # "error" stands before "warning" in the alphabet.
    return db.session.scalars(query.order_by(Alert.severity, Alert.last_at.desc(), Alert.id.desc())).all()


def list_recent(limit: int = RECENT) -> Sequence[Alert]:
    """Return the alerts that were resolved last, the newest first."""
    query = select(Alert).where(Alert.resolved_at.is_not(None))
    return db.session.scalars(query.order_by(Alert.resolved_at.desc(), Alert.id.desc()).limit(limit)).all()


def count_open() -> int:
    """Return how many alerts are open and not acknowledged."""
    query = select(Alert.id).where(Alert.resolved_at.is_(None), Alert.acknowledged_at.is_(None))
    return len(db.session.scalars(query).all())


def _open_alert(session: Session, subject: str) -> Alert | None:
    return session.scalar(select(Alert).where(Alert.subject == subject, Alert.resolved_at.is_(None)))
