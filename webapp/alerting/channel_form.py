"""The form of a channel: what was typed, as core takes it, and a channel as its form."""

from __future__ import annotations

from typing import Any

from core import secrets
from core.errors import Invalid
from core.messaging import channel_inputs, channels
from core.messaging.channel_inputs import ChannelInput, EmailTarget, Target
from core.models import Channel
from webapp.forms import Form

KINDS = (
    ("email", "E-mail", "through a mail server of yours"),
    ("webhook", "Webhook", "a JSON message to an address, such as those of chat programs"),
    ("apprise", "Another service", "Slack, Teams, Matrix, Telegram, ntfy and a hundred more, by Apprise URL"),
)  # fmt: skip
ICONS = {"email": "mail", "webhook": "webhook", "apprise": "bell"}
SEVERITIES = (
    ("warning", "Errors and warnings", "all that needs a person, now or soon"),
    ("error", "Errors only", "what failed, is missed, gone or damaged"),
)
SECURITIES = (("starttls", "STARTTLS"), ("tls", "TLS from the start"), ("none", "None"))
REPEATS = (
    ("24", "Once a day"), ("1", "Every hour"), ("4", "Every 4 hours"), ("12", "Every 12 hours"),
    ("168", "Once a week"), ("0", "Never, tell me once"),
)  # fmt: skip
_EMAIL = ("host", "port", "security", "user", "password", "sender", "recipients")


def empty(kind: str) -> Form:
    """Return the form of a new channel."""
    values: dict[str, Any] = {
        "kind": kind, "severity": "warning", "repeat_hours": "24", "tell_resolved": "yes", "enabled": "yes",
        "for": "all", "port": "587", "security": "starttls",
    }  # fmt: skip
    return Form(values)


def of(channel: Channel) -> Form:
    """Return a channel as its form, without its secrets."""
    values: dict[str, Any] = {
        "kind": channel.kind, "name": channel.name, "severity": channel.severity,
        "repeat_hours": str(channel.repeat_hours or 0),
        "tell_resolved": "yes" if channel.tell_resolved else "",
        "enabled": "yes" if channel.enabled else "", "for": "some" if channel.config_ids else "all",
        "configs": channel.config_ids,
    }  # fmt: skip
    target = known_target(channel)
    if isinstance(target, EmailTarget):
        values |= {name: getattr(target, name) for name in _EMAIL if name != "password"}
        values["recipients"] = ", ".join(target.recipients)
    return Form(values)


def known_target(channel: Channel) -> Target | None:
    """Return where a channel leads; None where that cannot be opened any more."""
    try:
        return channels.target_of(channel)
    except secrets.SealBroken:
        return None


def to_input(form: Form, kind: str) -> ChannelInput:
    """Return what was typed about the channel. Raises Invalid."""
    chosen = form.values("configs") if form.value("for") == "some" else []
    if form.value("for") == "some" and not chosen:
        raise Invalid({"for": "Choose at least one config, or all."})
    data: dict[str, Any] = {
        "name": form.value("name"), "kind": kind, "severity": form.value("severity") or "warning",
        "configs": chosen, "repeat_hours": form.value("repeat_hours"),
        "tell_resolved": bool(form.value("tell_resolved")), "enabled": bool(form.value("enabled")),
    }  # fmt: skip
    return channel_inputs.parse(data)


def to_target(form: Form, kind: str, known: Target | None = None) -> Target:
    """Return where it was typed to lead; blank secrets stay as they are known. Raises Invalid."""
    names = _EMAIL if kind == "email" else ("url",)
    return channel_inputs.parse_target(kind, {name: form.value(name) for name in names}, known)
