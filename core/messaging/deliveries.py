"""Send what channels are to be told: tried again until it is old, never a storm, never twice at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update

from core import instance, words
from core.alerting import alerts, mutes
from core.db import db, utc_now, write
from core.messaging import channel_messages, channel_routing, channels
from core.messaging.channel_messages import News
from core.messaging.outgoing import PartlyTaken, ReceiverGone, SendFailed
from core.models import Alert, Channel, Delivery

# Waits double from a minute to an hour; after three days the news is old.
LONGEST_WAIT = timedelta(hours=1)
OLD = timedelta(days=3)
# More than so many at once go in one message, and a channel gets no more than so many messages in a while.
MOST_ALONE = 3
MOST_MESSAGES = 6
A_WHILE = timedelta(minutes=10)
# One process at a time serves a channel; one that died while sending holds it no longer than this.
BUSY_FOR = timedelta(minutes=3)
LONGEST_ROUND_S = 60.0
ALERT_AFTER = 3  # failures in a row

_log = logging.getLogger(__name__)


def run(now: datetime | None = None) -> int:
    """Make and send what is due; return how many messages were taken. Never from a job or a page."""
    now = now or utc_now()
    channel_routing.route(now)
    taken, end = 0, time.monotonic() + LONGEST_ROUND_S
    for channel_id in _with_something_due(now):
        if time.monotonic() > end:
            break
        if _claim(channel_id, now):
            try:
                taken += _serve(channel_id, now)
            finally:
                _release(channel_id)
    return taken


def _with_something_due(now: datetime) -> Sequence[int]:
    """Return the channels, also those that failed, whose time it is; by id."""
    # A time further off than any that is written here was written under a clock that was ahead.
    rested = or_(
        Channel.retry_at.is_(None), Channel.retry_at <= now, Channel.retry_at > now + 2 * LONGEST_WAIT
    )
    due = or_(Delivery.due_at <= now, Delivery.due_at > now + 2 * LONGEST_WAIT)
    query = select(Channel.id).join(Delivery).where(Channel.enabled, rested, due)
    query = query.where(Delivery.sent_at.is_(None), Delivery.given_up_at.is_(None))
    found = db.session.scalars(query.distinct().order_by(Channel.id)).all()
    db.session.rollback()
    return found


def _claim(channel_id: int, now: datetime) -> bool:
    """Take a channel for this process; tell whether nobody else has it."""
    free = or_(
        Channel.busy_until.is_(None), Channel.busy_until < now, Channel.busy_until > now + 2 * BUSY_FOR
    )
    taking = update(Channel).where(Channel.id == channel_id, free).values(busy_until=now + BUSY_FOR)
    with write() as session:
        return bool(session.execute(taking).rowcount)  # type: ignore[attr-defined]


def _release(channel_id: int) -> None:
    with write() as session:
        session.execute(update(Channel).where(Channel.id == channel_id).values(busy_until=None))


def _serve(channel_id: int, now: datetime) -> int:
    """Send what is due to one channel; return how many messages it took."""
    _give_up_old(channel_id, now)
    due = _due(channel_id, now)
    room = MOST_MESSAGES - _sent_lately(channel_id, now)
    taken = 0
    for number, group in enumerate(_grouped(due, room)):
        error = _try(channel_id, group, now + timedelta(microseconds=number))
        if error is None:
            taken += 1
            continue
        _note_failure(channel_id, group, error, now)
        if isinstance(error, ReceiverGone):
            break
    return taken


def _try(channel_id: int, ids: Sequence[int], now: datetime) -> SendFailed | None:
    """Send one message; return why it could not be. One channel that breaks must not silence the others."""
    try:
        _send(channel_id, ids, now)
    except SendFailed as error:
        return error
    except Exception:  # noqa: BLE001  (logged, and shown on the channel's row)
        _log.exception("the channel %s broke", channel_id)
        db.session.rollback()
        return SendFailed("Something in Holdfast itself went wrong.", "Look into its log.")
    return None


def _due(channel_id: int, now: datetime) -> list[int]:
    """Return the deliveries that are due, in order; what is muted by now waits."""
    query = select(Delivery, Alert).join(Alert, Delivery.alert_id == Alert.id)
    query = query.where(
        Delivery.channel_id == channel_id, Delivery.sent_at.is_(None), Delivery.given_up_at.is_(None),
        or_(Delivery.due_at <= now, Delivery.due_at > now + 2 * LONGEST_WAIT),
    )  # fmt: skip
    muted = mutes.active(now)
    return [
        delivery.id
        for delivery, alert in db.session.execute(query.order_by(Delivery.id))
        if delivery.event == "resolved" or alert.resolved_at or mutes.muted_by(alert, muted) is None
    ]


def _sent_lately(channel_id: int, now: datetime) -> int:
    query = select(func.count(func.distinct(Delivery.sent_at))).where(
        Delivery.channel_id == channel_id, Delivery.sent_at > now - A_WHILE, Delivery.sent_at <= now
    )
    return db.session.scalar(query) or 0


def _grouped(due: Sequence[int], room: int) -> list[Sequence[int]]:
    """Return what goes in one message each: a storm waits, and then is one."""
    if not due or room <= 0:
        return []
    return [[each] for each in due] if len(due) <= min(MOST_ALONE, room) else [due]


def _send(channel_id: int, ids: Sequence[int], now: datetime) -> None:
    query = select(Delivery.event, Alert).join(Alert, Delivery.alert_id == Alert.id)
    rows = db.session.execute(query.where(Delivery.id.in_(ids)).order_by(Delivery.id)).all()
    if not rows:
        return  # the channel was deleted this very moment
    message = channel_messages.about(
        [News(event, alert) for event, alert in rows], instance.get("instance_id")
    )
    try:
        channels.send(channels.get(channel_id), message)
    except PartlyTaken:
        _mark_sent(ids, now)
        raise
    _mark_sent(ids, now)
    channels.note_success(channel_id, now)


def _mark_sent(ids: Sequence[int], now: datetime) -> None:
    with write() as session:
        session.execute(update(Delivery).where(Delivery.id.in_(ids)).values(sent_at=now, error=""))


def _note_failure(channel_id: int, ids: Sequence[int], error: SendFailed, now: datetime) -> None:
    """Note it on the channel; one that is gone rests as a whole, else what was refused does."""
    with write() as session:
        channel = session.get(Channel, channel_id)
        if channel is None:
            return
        channel.failures += 1
        channel.failing_since, channel.last_error = channel.failing_since or now, str(error)
        if isinstance(error, ReceiverGone):
            channel.retry_at = now + _pause(channel.failures)
        for delivery in session.scalars(select(Delivery).where(Delivery.id.in_(ids))):
            delivery.attempts, delivery.error = delivery.attempts + 1, str(error)
            delivery.due_at = now + _pause(delivery.attempts)
        failures, name = channel.failures, channel.name
    _log.info("the channel %s failed: %s", channel_id, error)
    if failures >= ALERT_AFTER:
        _tell_failing(channel_id, name, str(error))


def _pause(tries: int) -> timedelta:
    return min(LONGEST_WAIT, timedelta(minutes=2 ** min(tries - 1, 10)))


def _tell_failing(channel_id: int, name: str, error: str) -> None:
    subject = channels.own_subject(channel_id)
    if alerts.is_open(subject):
        return  # the same trouble, try by try
    alerts.raise_alert(
        subject, "channel", "error",
        words.ended(f"Alerts do not reach the channel {name}: {error}"),
        "Who relies on it hears of no failure. It is tried again for three days; what is older is dropped.",
        "Look at the channel under Settings, mend what is named there, then press “Send a test”.",
    )  # fmt: skip


def _give_up_old(channel_id: int, now: datetime) -> None:
    old = (
        Delivery.channel_id == channel_id, Delivery.sent_at.is_(None), Delivery.given_up_at.is_(None),
        Delivery.created_at < now - OLD,
    )  # fmt: skip
    if db.session.scalar(select(Delivery.id).where(*old).limit(1)) is None:
        return
    with write() as session:
        session.execute(update(Delivery).where(*old).values(given_up_at=now))
