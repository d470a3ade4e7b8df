"""What templates say about an alert: its kind in words, whom channels have told, what mutes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask, g
from sqlalchemy import select

from core.alerting import mutes
from core.db import db
from core.models import Alert, Channel, Delivery, Mute

KINDS = {
    "failure": "failures",
    "interrupted": "interrupted jobs",
    "warning": "warnings",
    "missed": "missed runs",
    "late": "late backups",
    "stalled": "stalled jobs",
    "slow": "slow runs",
    "quota": "quota alerts",
    "unreachable": "unreachable storages",
    "retention": "retention alerts",
    "corruption": "damage",
    "clock": "clock alerts",
    "channel": "failing channels",
    "recovery": "recovery key alerts",
    "worker": "worker alerts",
    "tick": "scheduler alerts",
    "queued": "jobs that do not begin",
    "unkept": "retention alerts",
    "disk": "full disks",
    "report": "report alerts",
}
_SPANS = {1: "for 1 hour", 8: "for 8 hours", 24: "for 1 day", 168: "for 7 days", 720: "for 30 days"}


@dataclass(frozen=True, slots=True)
class Told:
    """Names of channels that took an alert, and of those that could not be told yet; its mute."""

    sent: list[str]
    failed: list[str]
    error: str
    muted: Mute | None


def told(alert: Alert) -> Told:
    """Return whom channels have told of an alert."""
    known = g.get("deliveries")
    rows = _deliveries([alert.id]).get(alert.id, []) if known is None else known.get(alert.id, [])
    sent = list(dict.fromkeys(name for name, each in rows if each.sent_at is not None))
    failed = {name: each.error for name, each in rows if each.sent_at is None and each.error}
    return Told(sent, list(failed), next(iter(failed.values()), ""), mutes.muted_by(alert, _active()))


def ask_together(*lists: Sequence[Alert]) -> None:
    """Look up once what channels have told of all alerts on a page."""
    g.deliveries = _deliveries([alert.id for each in lists for alert in each])


def _deliveries(ids: Sequence[int]) -> dict[int, list[tuple[str, Delivery]]]:
    found: dict[int, list[tuple[str, Delivery]]] = {}
    query = select(Channel.name, Delivery).join(Delivery).where(Delivery.alert_id.in_(ids))
    for name, each in db.session.execute(query.order_by(Delivery.id)):
        if each.alert_id is not None:
            found.setdefault(each.alert_id, []).append((name, each))
    return found


def kind_words(kind: str) -> str:
    """Say what alerts of a kind are called."""
    return KINDS.get(kind, f"alerts of the kind {kind}")


def _active() -> list[Mute]:
    """Return what is muted, looked up once a page."""
    if "mutes" not in g:
        g.mutes = list(mutes.active())
    found: list[Mute] = g.mutes
    return found


def register(app: Flask) -> None:
    """Give the templates these."""
    app.add_template_filter(told, "told")
    app.add_template_filter(kind_words, "kind_words")
    app.jinja_env.globals["mute_choices"] = [(hours, _SPANS[hours]) for hours in mutes.CHOICES]
