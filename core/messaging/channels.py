"""Channels: ways to tell people of alerts. Rows, where they lead (sealed), and which alerts are for which."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from core import instance, secrets
from core.alerting import alerts
from core.db import db, utc_now, write
from core.errors import HoldfastError, Invalid, NotFound
from core.messaging import apprise_sender, channel_inputs, channel_messages, email_sender, http_sender
from core.messaging.channel_inputs import AppriseTarget, ChannelInput, EmailTarget, Target
from core.messaging.channel_messages import Message
from core.messaging.outgoing import SendFailed
from core.models import Alert, Channel, Config, Delivery, Destination, RepositoryRecord

_TABLE, _COLUMN = "channels", "target_sealed"
_FORMER_WEBHOOK = {"table": "instance_values", "row": "webhook_url", "column": "value"}
_RANKS = {"warning": 1, "error": 2}


def list_all() -> Sequence[Channel]:
    """Return all channels by name."""
    return db.session.scalars(select(Channel).order_by(Channel.name)).all()


def get(channel_id: int) -> Channel:
    """Return a channel. Raises NotFound."""
    return _get(db.session(), channel_id)


def create(data: ChannelInput, target: Target) -> Channel:
    """Make a channel; what is open already is not told to it. Raises Invalid."""
    _look(target)
    with write() as session:
        _require_free_name(session, data.name)
        _require_configs(session, data.configs)
        channel = Channel(name=data.name, kind=data.kind, since=utc_now(), created_at=utc_now(), only={})
        _fill(channel, data)
        session.add(channel)
        session.flush()
        _seal(channel, target)
        return channel


def update(channel_id: int, data: ChannelInput, target: Target) -> Channel:
    """Change a channel, but for its kind; what failed is tried again at once. Raises Invalid, NotFound."""
    if target != target_of(get(channel_id)):
        _look(target)
    with write() as session:
        channel = _get(session, channel_id)
        _require_free_name(session, data.name, channel_id)
        _require_configs(session, [each for each in data.configs if each not in channel.config_ids])
        if data.enabled and not channel.enabled:
            channel.since = utc_now()
        _fill(channel, data)
        _seal(channel, target)
        channel.failures, channel.retry_at = 0, None
        _drop_waiting_of_disabled(session, channel)
        return channel


def delete(channel_id: int) -> None:
    """Remove a channel and what was to be sent to it. Raises NotFound."""
    with write() as session:
        channel = _get(session, channel_id)
        session.execute(delete_rows(Delivery).where(Delivery.channel_id == channel_id))
        session.delete(channel)
        alerts.resolve_in(session, own_subject(channel_id))


def set_enabled(channel_id: int, enabled: bool) -> Channel:
    """Switch a channel on or off; what opened while it was off is not told. Raises NotFound."""
    with write() as session:
        channel = _get(session, channel_id)
        if enabled and not channel.enabled:
            channel.since = utc_now()
        channel.enabled = enabled
        _drop_waiting_of_disabled(session, channel)
        return channel


def test(channel_id: int) -> str:
    """Send a test message and note how that went; return a sentence. Raises SendFailed, NotFound."""
    channel = get(channel_id)
    try:
        send(channel, channel_messages.test(instance.get("instance_id")))
    except HoldfastError as error:
        _note_test(channel_id, ok=False, text=str(error))
        raise
    sentence = "The test message was sent, and the other side took it."
    _note_test(channel_id, ok=True, text=sentence)
    note_success(channel_id, utc_now())
    return sentence


def send(channel: Channel, message: Message) -> None:
    """Send a message now; no transaction is open meanwhile. Raises ReceiverGone, SendFailed."""
    try:
        target = target_of(channel)
    except secrets.SealBroken as error:
        raise SendFailed("Where it leads cannot be opened with this master key.", "Enter it anew.") from error
    db.session.rollback()
    if isinstance(target, EmailTarget):
        email_sender.send(target, message.title, message.text)
    elif isinstance(target, AppriseTarget):
        apprise_sender.send(target.url, message)
    else:
        http_sender.send(target.url, message.document)


def target_of(channel: Channel) -> Target:
    """Return where a channel leads, with its secrets. Raises SealBroken."""
    try:
        text = secrets.unseal(channel.target_sealed, table=_TABLE, row=channel.id, column=_COLUMN)
    except secrets.SealBroken:
        # The one webhook of before there were channels was moved as it was: its seal names its former place.
        text = secrets.unseal(channel.target_sealed, **_FORMER_WEBHOOK)
    return channel_inputs.from_text(channel.kind, text)


def wants(channel: Channel, alert: Alert) -> bool:
    """Tell whether an alert is for a channel. One about no config and no storage is for every channel."""
    if _RANKS.get(alert.severity, 2) < _RANKS[channel.severity] or alert.subject == own_subject(channel.id):
        return False
    if not channel.config_ids or alert.config_id in channel.config_ids:
        return True
    if alert.config_id is not None:
        return False
    return alert.storage_id is None or _uses(channel.config_ids, alert.storage_id)


def own_subject(channel_id: int) -> str:
    """Return the subject of the alert that a channel fails."""
    return f"channel:{channel_id}"


def note_success(channel_id: int, now: datetime) -> None:
    """Note that a message was taken: whatever failed before is over."""
    with write() as session:
        channel = session.get(Channel, channel_id)
        if channel is None:
            return
        channel.last_sent_at, channel.failures, channel.retry_at = now, 0, None
        channel.failing_since, channel.last_error = None, ""
        alerts.resolve_in(session, own_subject(channel_id))


def _look(target: Target) -> None:
    target.check()
    if isinstance(target, AppriseTarget):
        apprise_sender.check(target.url)


def _get(session: Session, channel_id: int) -> Channel:
    channel = session.get(Channel, channel_id)
    if channel is None:
        raise NotFound(f"There is no channel {channel_id}.")
    return channel


def _fill(channel: Channel, data: ChannelInput) -> None:
    channel.name, channel.severity, channel.enabled = data.name, data.severity, data.enabled
    channel.only = {"configs": data.configs} if data.configs else {}
    channel.repeat_hours, channel.tell_resolved = data.repeat_hours, data.tell_resolved


def _seal(channel: Channel, target: Target) -> None:
    channel.place = target.place
    text = channel_inputs.to_text(target)
    channel.target_sealed = secrets.seal(text, table=_TABLE, row=channel.id, column=_COLUMN)


def _drop_waiting_of_disabled(session: Session, channel: Channel) -> None:
    if channel.enabled:
        return
    waiting = update_rows(Delivery).where(
        Delivery.channel_id == channel.id, Delivery.sent_at.is_(None), Delivery.given_up_at.is_(None)
    )
    session.execute(waiting.values(given_up_at=utc_now(), error="The channel was switched off."))
    alerts.resolve_in(session, own_subject(channel.id))


def _require_free_name(session: Session, name: str, own_id: int | None = None) -> None:
    taken = session.scalar(select(Channel.id).where(Channel.name == name))
    if taken is not None and taken != own_id:
        raise Invalid({"name": f"There is already a channel {name!r}."})


def _require_configs(session: Session, config_ids: Sequence[str]) -> None:
    known = set(session.scalars(select(Config.id).where(Config.id.in_(config_ids))))
    if unknown := [each for each in config_ids if each not in known]:
        raise Invalid({"configs": f"There is no config {unknown[0]!r}."})


def _note_test(channel_id: int, *, ok: bool, text: str) -> None:
    with write() as session:
        channel = _get(session, channel_id)
        channel.tested_at, channel.test_ok, channel.test_result = utc_now(), ok, text


def _uses(config_ids: Sequence[str], storage_id: str) -> bool:
    query = select(Destination.id).join(RepositoryRecord, Destination.repository_id == RepositoryRecord.id)
    query = query.where(Destination.config_id.in_(config_ids), RepositoryRecord.storage_id == storage_id)
    return db.session.scalar(query.limit(1)) is not None
