"""Channels against real receivers: what arrives, what failing looks like, where nothing is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core import app_state, instance, secrets
from core.db import db, utc_now, write
from core.errors import HoldfastError, Invalid
from core.messaging import apprise_sender, channels, outgoing
from core.messaging.channel_inputs import ChannelInput, Target, parse, parse_target
from core.messaging.outgoing import ReceiverGone, SendFailed
from core.models import Channel
from core.settings import load
from tests.core.receivers import Mailbox, Receiver, http_receiver, mail_server, make_certificate


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


def webhook(url: str) -> Target:
    return parse_target("webhook", {"url": url})


def mail(box: Mailbox, **more: str) -> Target:
    data = {"host": "127.0.0.1", "port": str(box.port), "security": "none", "sender": "backup@example.org"}
    return parse_target("email", {**data, "recipients": "anna@example.org, bert@example.org", **more})


def create(target: Target, kind: str = "webhook", **more: object) -> Channel:
    return channels.create(parse({"name": "Chat", "kind": kind, **more}), target)


def test_a_webhook_gets_json_and_its_answer_is_not_kept(context: Flask, receiver: Receiver) -> None:
    channel = create(webhook(receiver.url))
    assert "took it" in channels.test(channel.id)
    path, message = receiver.got[0]
    assert path == "/hook/s3cr3t?key=1"
    assert (message["event"], message["instance"]) == ("test", instance.get("instance_id"))
    receiver.status = 403
    with pytest.raises(SendFailed, match="403") as caught:
        channels.test(channel.id)
    row = channels.get(channel.id)
    assert (row.test_ok, "403" in row.test_result) == (False, True)
    assert "leak-me" not in str(caught.value) + row.test_result


def test_a_redirect_is_not_followed(context: Flask, receiver: Receiver) -> None:
    receiver.status = 302
    with pytest.raises(SendFailed, match=r"redirect \(302\)"):
        channels.test(create(webhook(receiver.url)).id)
    assert len(receiver.got) == 1


def test_mail_arrives_whole_for_everybody(context: Flask, mailbox: Mailbox) -> None:
    channels.test(create(mail(mailbox), "email").id)
    (envelope,) = mailbox.mails
    assert envelope.rcpt_tos == ["anna@example.org", "bert@example.org"]
    text = bytes(envelope.content or b"").decode()
    assert "Subject: Holdfast: test message" in text
    assert "Auto-Submitted: auto-generated" in text
    assert "Alerts of Holdfast will arrive here." in text


def test_mail_that_is_not_taken_says_why_in_our_words(context: Flask, mailbox: Mailbox) -> None:
    mailbox.refuse = "bert@example.org"
    channel = create(mail(mailbox), "email")
    with pytest.raises(SendFailed, match=r"takes no mail for bert@example\.org") as caught:
        channels.test(channel.id)
    assert "leak-me" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_login_at_the_mail_server_works_or_says_so(context: Flask) -> None:
    with mail_server(login=True) as box:
        good = mail(box, user="backup", password="pa55 word")
        channel = create(good, "email")
        channels.test(channel.id)
        assert len(box.mails) == 1
        bad = mail(box, user="backup", password="s3cr3t")
        channels.update(channel.id, parse({"name": "Chat", "kind": "email"}), bad)
        with pytest.raises(SendFailed, match="refused the login") as caught:
            channels.test(channel.id)
        assert "s3cr3t" not in str(caught.value) + channels.get(channel.id).test_result


def test_a_mail_server_without_starttls_is_not_talked_to_in_the_open(
    context: Flask, mailbox: Mailbox
) -> None:
    channel = create(mail(mailbox, security="starttls", user="backup", password="s3cr3t"), "email")
    with pytest.raises(SendFailed, match="lacks what was asked for"):
        channels.test(channel.id)
    assert mailbox.mails == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_mail_goes_encrypted_to_a_server_whose_certificate_is_trusted_only(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    certificate = make_certificate(tmp_path)
    with mail_server(login=True, security=security, certificate=certificate) as box:
        channel = create(mail(box, security=security, user="backup", password="pa55 word"), "email")
        with pytest.raises(ReceiverGone, match="its certificate is not trusted"):
            channels.test(channel.id)
        assert box.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channels.test(channel.id)
        assert len(box.mails) == 1


def test_apprise_sends_and_keeps_to_the_rules(context: Flask, receiver: Receiver) -> None:
    """One service of Apprise stands for all: what it may not do, none may."""
    url = f"json://127.0.0.1:{receiver.server_port}/s3cr3t"
    channel = create(parse_target("apprise", {"url": url}), "apprise")
    channels.test(channel.id)
    assert "Alerts of Holdfast will arrive here." in receiver.got[0][1]["message"]
    receiver.status = 302
    with pytest.raises(SendFailed, match="302"):
        channels.test(channel.id)
    assert len(receiver.got) == 2, "it went to where the redirect leads"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("json://169.254.169.254/latest", "credentials"),
        ("json://[::ffff:169.254.169.254]/latest", "credentials"),
        ("json://localhost:{port}/", "Holdfast itself"),
    ],
)
def test_apprise_reaches_no_forbidden_address(
    context: Flask, environ: dict[str, str], receiver: Receiver, url: str, why: str
) -> None:
    app_state.prepare(load(environ | {"PORT": str(receiver.server_port)}))
    channel = create(parse_target("apprise", {"url": url.format(port=receiver.server_port)}), "apprise")
    with pytest.raises(SendFailed, match=why):
        channels.test(channel.id)
    assert receiver.got == []


def test_apprise_that_hangs_is_ended(
    context: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = create(
        parse_target("apprise", {"url": f"json://127.0.0.1:{receiver.server_port}/?rto=60"}), "apprise"
    )
    receiver.delay_s = 60  # cut short by the end of the test
    monkeypatch.setattr(apprise_sender, "TIMEOUT_S", 4.0)
    with pytest.raises(ReceiverGone, match="no answer within 4 seconds"):
        channels.test(channel.id)


@pytest.mark.parametrize("url", ["nothing", "nosuchservice://token", "syslog://", "dbus://", "slack://x"])
def test_what_apprise_cannot_send_to_is_refused(context: Flask, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        create(parse_target("apprise", {"url": url}), "apprise")
    assert "url" in caught.value.fields


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
        create(webhook(url))
    assert "url" in caught.value.fields
    assert channels.list_all() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9", "0.0.0.0", "2130706433", "0x7f.1"])
def test_our_own_port_is_refused(
    context: Flask, environ: dict[str, str], receiver: Receiver, host: str
) -> None:
    """Not by its name, but by where the name leads."""
    app_state.prepare(load(environ | {"PORT": str(receiver.server_port)}))

    def use() -> None:
        channels.test(create(webhook(f"http://{host}:{receiver.server_port}/")).id)

    with pytest.raises(HoldfastError, match="Holdfast itself"):
        use()
    assert receiver.got == []


def test_a_server_without_a_trusted_certificate_gets_nothing(context: Flask, receiver: Receiver) -> None:
    channel = create(webhook(receiver.url.replace("http:", "https:")))
    with pytest.raises(ReceiverGone):
        channels.test(channel.id)
    assert receiver.got == []


def test_a_receiver_that_is_slow_is_given_up(
    context: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "TIMEOUT_S", 0.3)
    receiver.delay_s = 60  # cut short by the end of the test
    channel = create(webhook(receiver.url))
    began = time.monotonic()
    with pytest.raises(ReceiverGone):
        channels.test(channel.id)
    assert time.monotonic() - began < 30


def test_secrets_are_sealed_and_in_no_repr(context: Flask, mailbox: Mailbox) -> None:
    create(webhook("https://chat.example.org/hook/s3cr3t?key=1"))
    target = mail(mailbox, user="backup", password="s3cr3t", security="starttls")
    channels.create(ChannelInput(name="Mail", kind="email"), target)
    rows = db.session.execute(select(Channel.__table__)).all()
    assert "s3cr3t" not in json.dumps([[str(value) for value in row] for row in rows])
    assert {channel.place for channel in channels.list_all()} == {
        "https://chat.example.org/…", "anna@example.org, bert@example.org by 127.0.0.1",
    }  # fmt: skip
    assert "s3cr3t" not in repr(target)
    assert "s3cr3t" not in repr(channels.target_of(channels.list_all()[0]))


def test_a_blank_address_stays_and_a_password_follows_no_new_server(
    context: Flask, receiver: Receiver, mailbox: Mailbox
) -> None:
    known = webhook(receiver.url)
    assert parse_target("webhook", {"url": " "}, known) == known
    server = mail(mailbox, user="backup", password="s3cr3t", security="starttls")
    assert parse_target("email", {**server.model_dump(), "password": ""}, server) == server
    moved = parse_target("email", {**server.model_dump(), "password": "", "host": "evil.example.org"}, server)
    assert moved.model_dump()["password"] == ""


def test_a_password_is_not_sent_in_the_open_over_a_network(context: Flask, mailbox: Mailbox) -> None:
    with pytest.raises(Invalid) as caught:
        mail(mailbox, host="mail.example.org", user="backup", password="x")
    assert "security" in caught.value.fields


@pytest.mark.parametrize("address", ["anna", "a@b\nBcc: c@d", "<a@b>", "a@b, c d@e", "", "ä@example.org"])
def test_what_is_no_mail_address_is_refused(context: Flask, mailbox: Mailbox, address: str) -> None:
    with pytest.raises(Invalid):
        mail(mailbox, recipients=address)
    with pytest.raises(Invalid):
        mail(mailbox, sender=address)


def test_the_one_webhook_of_before_still_opens(context: Flask, receiver: Receiver) -> None:
    """The step of the schema moves it as it is sealed, for its former place."""
    sealed = secrets.seal(receiver.url, table="instance_values", row="webhook_url", column="value")
    with write() as session:
        row = Channel(name="Webhook", kind="webhook", target_sealed=sealed, since=utc_now(), only={})
        session.add(row)
    channels.test(channels.list_all()[0].id)
    assert receiver.got[0][0] == "/hook/s3cr3t?key=1"


def test_a_seal_that_is_broken_is_said_on_the_channel(context: Flask) -> None:
    channel = create(webhook("https://chat.example.org/hook"))
    with write() as session:
        session.get_one(Channel, channel.id).target_sealed = "v1.00000000.AAAA"
    with pytest.raises(SendFailed, match="Enter it anew"):
        channels.test(channel.id)


def test_names_are_taken_once(context: Flask) -> None:
    create(webhook("https://chat.example.org/hook"))
    with pytest.raises(Invalid, match="already a channel"):
        create(webhook("https://chat.example.org/hook"))
