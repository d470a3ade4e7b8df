"""Which news go to which channel: deliveries are made here, each once; deliveries.py sends them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from core.alerting import mutes
from core.db import db, utc_now, write
from core.messaging import channels
from core.models import Alert, Channel, Delivery, Mute

# News of an end that is older is told no more.
OLD = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class _Wanted:
    channel_id: int
    alert_id: int
    news: int
    event: str
    number: int = 0


def route(now: datetime | None = None) -> int:
    """Make the deliveries that are wanted and not there yet; return how many."""
    now = now or utc_now()
    if not _wanted(db.session(), now):
        return 0
    with write() as session:  # again, with nobody else writing
        found = _wanted(session, now)
        session.add_all(_row(each, now) for each in found)
        return len(found)


def _row(wanted: _Wanted, now: datetime) -> Delivery:
    return Delivery(
        channel_id=wanted.channel_id, alert_id=wanted.alert_id, news=wanted.news, event=wanted.event,
        number=wanted.number, created_at=now, due_at=now,
    )  # fmt: skip


def _wanted(session: Session, now: datetime) -> list[_Wanted]:
    every = session.scalars(select(Channel).where(Channel.enabled)).all()
    if not every:
        return []
    told = _told(session, now)
    muted = mutes.active(now)
    return [
        found
        for alert in _alerts(session, now)
        for channel in every
        for found in _of(channel, alert, told.get((channel.id, alert.id), []), muted, now)
    ]


def _alerts(session: Session, now: datetime) -> Sequence[Alert]:
    recent = or_(Alert.resolved_at.is_(None), Alert.resolved_at > now - OLD)
    return session.scalars(select(Alert).where(recent).order_by(Alert.id)).all()


def _told(session: Session, now: datetime) -> dict[tuple[int, int], list[Delivery]]:
    recent = or_(Alert.resolved_at.is_(None), Alert.resolved_at > now - OLD)
    query = select(Delivery).join(Alert, Delivery.alert_id == Alert.id).where(and_(recent))
    found: dict[tuple[int, int], list[Delivery]] = {}
    for each in session.scalars(query.order_by(Delivery.id)):
        found.setdefault((each.channel_id, each.alert_id), []).append(each)
    return found


def _of(
    channel: Channel, alert: Alert, told: Sequence[Delivery], muted: Sequence[Mute], now: datetime
) -> Iterator[_Wanted]:
    this = [each for each in told if each.news == alert.news]
    if alert.resolved_at is not None:
        if channel.tell_resolved and _was_told(told) and not any(each.event == "resolved" for each in told):
            yield _Wanted(channel.id, alert.id, alert.news, "resolved")
        return
    if mutes.muted_by(alert, muted) is not None:
        return
    number = max((each.number for each in this), default=-1) + 1
    if not _was_told(this):
        if _is_to_be_told(channel, alert) and not (this and alert.acknowledged_at):
            yield _Wanted(channel.id, alert.id, alert.news, "opened", number)
    elif _is_time_again(channel, alert, this, now):
        yield _Wanted(channel.id, alert.id, alert.news, "repeated", number)


def _is_to_be_told(channel: Channel, alert: Alert) -> bool:
    return (alert.news_at or alert.opened_at) >= channel.since and channels.wants(channel, alert)


def _was_told(told: Sequence[Delivery]) -> bool:
    """Tell whether somebody heard of it, or will: the end of what nobody heard of is no news."""
    return any(each.given_up_at is None for each in told)


def _is_time_again(channel: Channel, alert: Alert, told: Sequence[Delivery], now: datetime) -> bool:
    """Tell whether it is told again: still open, seen by nobody, and the last time is long enough ago."""
    if channel.repeat_hours is None or alert.acknowledged_at is not None:
        return False
    last = max((each.sent_at for each in told if each.sent_at is not None), default=None)
    waits = any(each.sent_at is None and each.given_up_at is None for each in told)
    return last is not None and not waits and now - last >= timedelta(hours=channel.repeat_hours)
