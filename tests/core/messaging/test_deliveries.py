"""Deliveries: what is told when, to whom, how often, and what becomes of what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core.access import users
from core.alerting import alerts, mutes
from core.db import db, utc_now, write
from core.messaging import channel_routing, channels, deliveries
from core.messaging.channel_inputs import parse, parse_target
from core.models import Alert, Channel, Delivery
from core.reports import housekeeping
from tests.core.making import make_config, make_storage, make_tree
from tests.core.receivers import Receiver, http_receiver, mail_server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


@pytest.fixture
def chat(context: Flask, receiver: Receiver) -> Channel:
    """Return a channel that is told everything."""
    return make(receiver)


def make(receiver: Receiver, name: str = "Chat", **more: object) -> Channel:
    """Make a channel to a receiver."""
    target = parse_target("webhook", {"url": receiver.url})
    return channels.create(parse({"name": name, "kind": "webhook", **more}), target)


def make_gone(name: str = "Gone") -> Channel:
    """Make a channel where nobody listens."""
    target = parse_target("webhook", {"url": "http://127.0.0.1:1/hook/s3cr3t"})
    return channels.create(parse({"name": name, "kind": "webhook"}), target)


def open_alert(subject: str = "backup:1", severity: str = "error", **more: str) -> Alert:
    """Open an alert."""
    what, meaning, advice = "Wiki failed.", "Nothing is lost.", "Mount the disk."
    kind = more.pop("kind", "failure")
    return alerts.raise_alert(subject, kind, severity, what, meaning, advice, **more)  # type: ignore[arg-type]


def later(**span: float) -> datetime:
    """Return a time to come."""
    return utc_now() + timedelta(**span)


def test_the_opening_and_the_end_are_told_once_each(chat: Channel, receiver: Receiver) -> None:
    open_alert()
    assert [deliveries.run(), deliveries.run()] == [1, 0]
    open_alert()
    assert deliveries.run() == 0, "a repeat only counts"
    alerts.resolve("backup:1")
    assert [deliveries.run(), deliveries.run()] == [1, 0]
    assert receiver.events == ["alert.opened", "alert.resolved"]
    message = receiver.got[0][1]
    assert message["text"] == "Holdfast: Wiki failed."
    assert (message["alert"]["advice"], message["alert"]["resolved_at"]) == ("Mount the disk.", None)
    assert receiver.got[1][1]["alert"]["resolved_at"] is not None


def test_one_resolved_before_it_was_told_is_told_in_order(chat: Channel, receiver: Receiver) -> None:
    open_alert()
    channel_routing.route()
    alerts.resolve("backup:1")
    assert deliveries.run() == 2
    assert receiver.events == ["alert.opened", "alert.resolved"]


def test_what_nobody_was_told_of_has_no_end_to_tell(chat: Channel, receiver: Receiver) -> None:
    open_alert()
    alerts.resolve("backup:1")
    assert deliveries.run() == 0


def test_a_failure_after_a_warning_is_told_anew(chat: Channel, receiver: Receiver) -> None:
    open_alert(severity="warning")
    deliveries.run()
    open_alert(severity="error")
    assert deliveries.run() == 1
    assert [message["alert"]["severity"] for _, message in receiver.got] == ["warning", "error"]
    alerts.resolve("backup:1")
    assert deliveries.run() == 1


def test_it_is_told_again_while_nobody_has_seen_it(chat: Channel, receiver: Receiver) -> None:
    alert = open_alert()
    deliveries.run()
    assert deliveries.run(later(hours=23)) == 0
    assert deliveries.run(later(hours=25)) == 1
    assert deliveries.run(later(hours=26)) == 0
    assert deliveries.run(later(hours=50)) == 1
    assert receiver.events[1:] == ["alert.repeated", "alert.repeated"]
    alerts.acknowledge(alert.id, users.create("Anna", "correct horse battery", "admin"))
    assert deliveries.run(later(hours=100)) == 0


def test_what_was_open_before_the_channel_or_while_it_was_off_is_not_told(
    context: Flask, receiver: Receiver
) -> None:
    open_alert("backup:1")
    channel = make(receiver)
    channels.set_enabled(channel.id, False)
    open_alert("backup:2")
    channels.set_enabled(channel.id, True)
    assert deliveries.run() == 0
    open_alert("backup:3")
    assert deliveries.run() == 1


def test_a_storm_is_one_message(chat: Channel, receiver: Receiver) -> None:
    for number in range(50):
        open_alert(f"backup:{number}")
    assert deliveries.run() == 1
    ((_, message),) = receiver.got
    assert message["event"] == "alerts.digest"
    assert len(message["alerts"]) == 50
    assert "and 30 more" in message["text"]


def test_a_storm_that_goes_on_waits_and_loses_nothing(chat: Channel, receiver: Receiver) -> None:
    """Told in time for the first few, then a message for all the rest."""
    now = utc_now()
    for number in range(20):
        open_alert(f"backup:{number}")
        deliveries.run(now + timedelta(seconds=number))
    assert len(receiver.got) == deliveries.MOST_MESSAGES
    deliveries.run(now + deliveries.A_WHILE + timedelta(minutes=1))
    assert len(receiver.got) == deliveries.MOST_MESSAGES + 1
    assert len(receiver.got[-1][1]["alerts"]) == 20 - deliveries.MOST_MESSAGES


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_what_is_not_taken_is_tried_again_later(chat: Channel, receiver: Receiver, status: int) -> None:
    receiver.status = status
    open_alert()
    now = utc_now()
    assert deliveries.run(now) == 0
    row = channels.get(chat.id)
    assert str(status) in row.last_error
    assert "leak-me" not in row.last_error
    assert deliveries.run(now + timedelta(seconds=59)) == 0
    assert len(receiver.got) == 1
    receiver.status = 200
    assert deliveries.run(now + timedelta(seconds=60)) == 1
    assert channels.get(chat.id).last_error == ""


def test_one_alert_that_is_refused_does_not_hold_up_the_others(chat: Channel, receiver: Receiver) -> None:
    receiver.status = 500
    open_alert("backup:1")
    open_alert("backup:2")
    deliveries.run()
    assert [message["alert"]["subject"] for _, message in receiver.got] == ["backup:1", "backup:2"]


def test_a_channel_that_is_gone_is_alerted_elsewhere_and_costs_one_try_a_round(
    context: Flask, receiver: Receiver
) -> None:
    gone = make_gone()
    make(receiver)
    open_alert("backup:1")
    open_alert("backup:2")
    now = utc_now()
    for minutes in range(20):
        deliveries.run(now + timedelta(minutes=minutes))
    row = channels.get(gone.id)
    assert 4 <= row.failures <= 6, "waits double"
    assert "refused" in row.last_error
    assert "s3cr3t" not in row.last_error
    (alert,) = [each for each in alerts.list_open() if each.kind == "channel"]
    assert alert.count == 1
    told = [message["alert"]["subject"] for _, message in receiver.got]
    assert told == ["backup:1", "backup:2", f"channel:{gone.id}"]
    tried = db.session.scalars(select(Delivery).where(Delivery.channel_id == gone.id)).all()
    assert {each.alert_id for each in tried}.isdisjoint({alert.id}), "not told to itself"


def test_a_channel_that_works_again_resolves_its_alert(chat: Channel, receiver: Receiver) -> None:
    receiver.status = 503
    open_alert()
    now = utc_now()
    for minutes in range(8):
        deliveries.run(now + timedelta(minutes=minutes))
    assert alerts.is_open(f"channel:{chat.id}")
    receiver.status = 200
    deliveries.run(now + timedelta(hours=3))
    assert not alerts.is_open(f"channel:{chat.id}")
    assert channels.get(chat.id).failing_since is None


def test_news_that_is_old_is_given_up(context: Flask) -> None:
    gone = make_gone()
    open_alert()
    now = utc_now()
    deliveries.run(now)
    deliveries.run(now + deliveries.OLD + timedelta(hours=1))
    row = db.session.scalars(select(Delivery).where(Delivery.channel_id == gone.id)).first()
    assert row is not None
    assert row.given_up_at is not None


def test_what_is_open_still_is_told_once_the_receiver_is_back_after_days(
    chat: Channel, receiver: Receiver
) -> None:
    receiver.status = 503
    seen = open_alert("backup:2").id
    open_alert("backup:1")
    now = utc_now()
    deliveries.run(now)
    alerts.acknowledge(seen, users.create("Anna", "correct horse battery", "admin"))
    deliveries.run(now + deliveries.OLD + timedelta(hours=1))
    assert db.session.scalars(select(Delivery.given_up_at).where(Delivery.alert_id == seen)).one()
    receiver.status = 200
    receiver.got.clear()
    for hours in range(3, 6):
        deliveries.run(now + deliveries.OLD + timedelta(hours=hours))
    told = [message["alert"]["what"] for _, message in receiver.got]
    assert len(told) == 1
    assert db.session.scalars(select(Delivery).where(Delivery.alert_id == seen)).one().sent_at is None


def test_severity_and_config_decide_who_is_told(context: Flask, receiver: Receiver, tmp_path: Path) -> None:
    make_storage(tmp_path)
    wiki = make_config(make_tree(tmp_path / "wiki"), "Wiki")
    mail = make_config(make_tree(tmp_path / "mail"), "Mail")
    storage_id = wiki.destinations[0].repository.storage_id
    wiki_id, mail_id = wiki.id, mail.id
    make(receiver, "Wiki's", configs=[wiki_id], severity="error")
    open_alert("backup:wiki", config_id=wiki_id)
    open_alert("backup:wiki:2", "warning", config_id=wiki_id)
    open_alert("backup:mail", config_id=mail_id)
    open_alert("storage:1", storage_id=storage_id)
    open_alert("clock")
    deliveries.run()
    told = [message["alert"]["subject"] for _, message in receiver.got]
    assert told == ["backup:wiki", "storage:1", "clock"]


def test_what_is_muted_is_told_when_the_mute_ends_and_it_is_still_open(
    chat: Channel, receiver: Receiver
) -> None:
    mute = mutes.mute(8, "Anna", kind="failure")
    open_alert("backup:1")
    open_alert("quota:1", kind="quota")
    assert deliveries.run() == 1
    assert receiver.got[0][1]["alert"]["kind"] == "quota"
    assert deliveries.run(later(hours=7)) == 0
    mutes.end(mute.id)
    assert deliveries.run() == 1


def test_a_mute_holds_back_what_waits_already_but_no_end(chat: Channel, receiver: Receiver) -> None:
    open_alert("backup:1")
    deliveries.run()
    receiver.status = 500
    open_alert("backup:2")
    deliveries.run()
    receiver.status = 200
    alert = db.session.scalars(select(Alert).where(Alert.subject == "backup:2")).one()
    mutes.mute_like(alert.id, 1, "Anna")
    alerts.resolve("backup:1")
    assert deliveries.run(later(minutes=5)) == 1
    assert receiver.events[-1] == "alert.resolved"
    assert deliveries.run(later(minutes=90)) == 1
    assert receiver.got[-1][1]["alert"]["subject"] == "backup:2"


def test_two_workers_send_each_message_once(chat: Channel, receiver: Receiver) -> None:
    open_alert()
    now = utc_now()
    channel_routing.route(now)
    channel_routing.route(now)
    assert deliveries._claim(chat.id, now)
    assert deliveries.run(now) == 0, "another process is at it"
    assert deliveries.run(now + deliveries.BUSY_FOR + timedelta(seconds=1)) == 1, "that died"
    assert len(receiver.got) == 1


def test_times_of_a_clock_that_was_ahead_hold_nothing_up(chat: Channel, receiver: Receiver) -> None:
    open_alert()
    now = utc_now()
    channel_routing.route(now)
    with write() as session:
        row = session.get_one(Channel, chat.id)
        row.busy_until = row.retry_at = now + timedelta(days=400)
        session.scalars(select(Delivery)).one().due_at = now + timedelta(days=400)
    assert deliveries.run(now) == 1


def test_a_channel_that_is_removed_takes_its_deliveries_along(chat: Channel) -> None:
    open_alert()
    channel_routing.route()
    channels.delete(chat.id)
    assert db.session.scalars(select(Delivery)).all() == []
    assert deliveries.run() == 0


def test_mail_that_some_have_is_not_sent_to_them_again(context: Flask) -> None:
    with mail_server() as box:
        box.refuse = "bert@example.org"
        data = {"host": "127.0.0.1", "port": str(box.port), "security": "none", "sender": "a@example.org"}
        target = parse_target("email", {**data, "recipients": "anna@example.org bert@example.org"})
        channel = channels.create(parse({"name": "Mail", "kind": "email"}), target)
        open_alert()
        deliveries.run()
        deliveries.run(later(hours=2))
        assert [mail.rcpt_tos for mail in box.mails] == [["anna@example.org"]]
        assert "bert@example.org" in channels.get(channel.id).last_error


def test_what_was_told_of_an_old_alert_goes_with_it(chat: Channel) -> None:
    open_alert()
    deliveries.run()
    alerts.resolve("backup:1")
    deliveries.run()
    assert housekeeping.sweep(later(days=10_000))["alerts"] == 1
    assert db.session.scalars(select(Delivery)).all() == []
