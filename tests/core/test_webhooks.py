"""The webhook, against a real HTTP server: what it is told, when, how often, and where nothing is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from core import alerts, app_state, instance, webhook_sender, webhooks
from core.db import db, utc_now, write
from core.errors import Invalid
from core.models import Alert, InstanceValue
from core.settings import load


class Receiver(ThreadingHTTPServer):
    """A server on a free port of loopback that notes what it gets and answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 204
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.delay_s = 0.0
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        """Its address, with a secret in the path."""
        return f"http://127.0.0.1:{self.server_port}/hook/s3cr3t?key=1"


class Handler(BaseHTTPRequestHandler):
    """Take one message."""

    server: Receiver

    def do_POST(self) -> None:
        """Take a message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        self.server.ended.wait(self.server.delay_s)
        self.send_response(self.server.status)
        if 300 <= self.server.status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"leak-me-9")

    def do_GET(self) -> None:
        """Take what a followed redirect would send."""
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hooked(context: Flask, receiver: Receiver) -> Receiver:
    """Return a receiver that is the install's webhook."""
    webhooks.set_url(receiver.url)
    return receiver


def open_alert(subject: str = "backup:1") -> Alert:
    """Open an alert."""
    return alerts.raise_alert(
        subject, "failure", "error", "Wiki failed.", "Nothing is lost.", "Mount the disk."
    )


def alert_row() -> Alert:
    """Return the only alert, as it is now."""
    db.session.rollback()
    return db.session.scalars(select(Alert)).one()


def test_the_opening_and_the_end_are_told_once_each(hooked: Receiver) -> None:
    open_alert()
    assert webhooks.deliver() == 1
    assert webhooks.deliver() == 0
    open_alert()
    assert webhooks.deliver() == 0
    alerts.resolve("backup:1")
    assert webhooks.deliver() == 1
    assert webhooks.deliver() == 0
    assert [message["event"] for _, message in hooked.got] == ["alert.opened", "alert.resolved"]
    path, message = hooked.got[0]
    assert path == "/hook/s3cr3t?key=1"
    assert message["text"] == "Holdfast: Wiki failed."
    assert message["alert"]["advice"] == "Mount the disk."
    assert message["alert"]["resolved_at"] is None
    assert hooked.got[1][1]["alert"]["resolved_at"] is not None


def test_one_resolved_before_it_was_told_is_told_in_order(hooked: Receiver) -> None:
    open_alert()
    alerts.resolve("backup:1")
    assert webhooks.deliver() + webhooks.deliver() == 2
    assert [message["event"] for _, message in hooked.got] == ["alert.opened", "alert.resolved"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500])
def test_what_is_not_taken_is_tried_again_later(hooked: Receiver, status: int) -> None:
    hooked.status = status
    open_alert()
    now = utc_now()
    assert webhooks.deliver(now) == 0
    assert str(status) in alert_row().notify_error
    assert "leak-me" not in alert_row().notify_error
    assert webhooks.deliver(now + timedelta(seconds=59)) == 0
    assert len(hooked.got) == 1
    hooked.status = 200
    assert webhooks.deliver(now + timedelta(seconds=60)) == 1
    assert alert_row().notify_error == ""
    assert {path for path, _ in hooked.got} == {"/hook/s3cr3t?key=1"}


def test_waits_grow_to_an_hour_and_come_to_an_end(hooked: Receiver) -> None:
    hooked.status = 500
    open_alert()
    begin = now = utc_now()
    while alert_row().notify_attempts < webhooks.MOST_ATTEMPTS:
        webhooks.deliver(now)
        now += timedelta(minutes=1)
        assert now - begin < timedelta(days=3)
    assert now - begin > timedelta(days=1)
    webhooks.deliver(now + timedelta(days=1))
    assert len(hooked.got) == webhooks.MOST_ATTEMPTS


def test_one_alert_that_is_refused_does_not_hold_up_the_others(hooked: Receiver) -> None:
    hooked.status = 500
    open_alert("backup:1")
    open_alert("backup:2")
    webhooks.deliver()
    assert [message["alert"]["subject"] for _, message in hooked.got] == ["backup:1", "backup:2"]


def test_a_receiver_that_is_gone_costs_one_try_a_round(context: Flask, receiver: Receiver) -> None:
    webhooks.set_url("http://127.0.0.1:1/hook/s3cr3t")
    open_alert("backup:1")
    open_alert("backup:2")
    assert webhooks.deliver() == 0
    first, second = db.session.scalars(select(Alert).order_by(Alert.id))
    assert (first.notify_attempts, second.notify_attempts) == (1, 0)
    assert "refused" in first.notify_error
    assert "s3cr3t" not in first.notify_error


def test_a_receiver_that_is_slow_is_given_up(hooked: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "TIMEOUT_S", 0.3)
    hooked.delay_s = 60  # cut short by the end of the test
    open_alert()
    began = time.monotonic()
    assert webhooks.deliver() == 0
    assert time.monotonic() - began < 30
    assert alert_row().notify_attempts == 1


def test_without_a_webhook_nothing_is_sent(context: Flask) -> None:
    open_alert()
    assert webhooks.deliver() == 0
    assert not webhooks.is_set()
    with pytest.raises(Invalid):
        webhooks.test()


def test_what_was_there_before_the_webhook_is_not_sent(context: Flask, receiver: Receiver) -> None:
    open_alert()
    webhooks.set_url(receiver.url)
    assert webhooks.deliver() == 0
    alerts.resolve("backup:1")
    assert webhooks.deliver() == 1


def test_the_address_is_sealed_and_shown_without_its_secret(hooked: Receiver) -> None:
    assert webhooks.shown_url() == f"http://127.0.0.1:{hooked.server_port}/…"
    stored = json.dumps([row.value for row in db.session.scalars(select(InstanceValue))])
    assert "s3cr3t" not in stored
    webhooks.set_url("")
    assert webhooks.shown_url() == ""


def test_a_test_message_says_what_came_of_it(hooked: Receiver) -> None:
    assert "taken" in webhooks.test()
    assert hooked.got[0][1]["event"] == "test"
    hooked.status = 403
    with pytest.raises(webhook_sender.WebhookFailed, match="403") as caught:
        webhooks.test()
    assert "leak-me" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x", "file:///etc/passwd", "example.org", "http://", "https://user:pw@example.org/",
        "http://example.org:99999/", "http://exa mple.org/", "http://example.org/\r\nX: y", "http://exämple.org/",
        "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/", "http://224.0.0.1/", "http://a..example.org/",
        f"https://{'a' * 64}.example.org/",
    ],
)  # fmt: skip
def test_impossible_addresses_are_refused(context: Flask, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        webhooks.set_url(url)
    assert "url" in caught.value.fields
    assert not webhooks.is_set()


def test_a_name_that_cannot_be_looked_up_stops_no_other_part_of_the_tick(context: Flask) -> None:
    """One that was set before it was looked at."""
    with write() as session:
        instance.set_secret_in(session, "webhook_url", "http://a..example.org/hook")
    open_alert()
    assert webhooks.deliver() == 0
    assert "no name that can be looked up" in alert_row().notify_error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9", "0.0.0.0", "2130706433", "0x7f.1"])
def test_our_own_port_is_refused(
    context: Flask, environ: dict[str, str], receiver: Receiver, host: str
) -> None:
    """Not by its name, but by where the name leads."""
    app_state.prepare(load(environ | {"PORT": str(receiver.server_port)}))

    def use() -> None:
        webhooks.set_url(f"http://{host}:{receiver.server_port}/")
        webhooks.test()

    with pytest.raises((Invalid, webhook_sender.WebhookFailed), match="Holdfast itself"):
        use()
    assert receiver.got == []


def test_a_server_without_a_trusted_certificate_gets_nothing(hooked: Receiver) -> None:
    webhooks.set_url(hooked.url.replace("http:", "https:"))
    with pytest.raises(webhook_sender.ReceiverGone):
        webhooks.test()
    assert hooked.got == []
