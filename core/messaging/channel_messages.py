"""What channels say: one alert, several in one message, a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core import words
from core.models import Alert

SHOWN_IN_ONE = 20
_MARKS = {"opened": "", "repeated": "Still open: ", "resolved": "Resolved: "}


@dataclass(frozen=True, slots=True)
class News:
    """One piece of news about an alert. `event`: opened, repeated, resolved."""

    event: str
    alert: Alert

    @property
    def line(self) -> str:
        """Say it in one sentence."""
        return f"{_MARKS[self.event]}{self.alert.what}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, in the forms that the kinds of channels need. `tone`: error, warning, good."""

    title: str
    text: str
    tone: str
    document: dict[str, Any]


def about(news: Sequence[News], instance_id: str) -> Message:
    """Return the message about one or several pieces of news."""
    if len(news) == 1:
        return _about_one(news[0], instance_id)
    lines = [f"- {each.line}" for each in news[:SHOWN_IN_ONE]]
    if len(news) > SHOWN_IN_ONE:
        lines.append(f"… and {len(news) - SHOWN_IN_ONE:,} more, on the page of alerts.")
    title = f"Holdfast: {words.count(len(news), 'alert')}"
    document = {
        "event": "alerts.digest",
        "text": "\n".join([title, *lines]),
        "instance": instance_id,
        "alerts": [{"event": f"alert.{each.event}", **_document(each.alert)} for each in news],
    }
    return Message(title, "\n".join(lines), _tone(news), document)


def test(instance_id: str) -> Message:
    """Return a message that is only a test."""
    text = "This is a test message. Alerts of Holdfast will arrive here."
    document = {"event": "test", "text": f"Holdfast: {text}", "instance": instance_id}
    return Message("Holdfast: test message", text, "good", document)


def _about_one(news: News, instance_id: str) -> Message:
    alert = news.alert
    parts = [alert.what, alert.meaning, alert.advice] if news.event != "resolved" else [alert.what]
    document = {
        "event": f"alert.{news.event}",
        "text": f"Holdfast: {news.line}",
        "instance": instance_id,
        "alert": _document(alert),
    }
    return Message(f"Holdfast: {news.line}", "\n\n".join(filter(None, parts)), _tone([news]), document)


def _tone(news: Sequence[News]) -> str:
    worse = {each.alert.severity for each in news if each.event != "resolved"}
    return "error" if "error" in worse else "warning" if worse else "good"


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "subject": alert.subject,
        "kind": alert.kind,
        "severity": alert.severity,
        "what": alert.what,
        "meaning": alert.meaning,
        "advice": alert.advice,
        "config_id": alert.config_id,
        "job_id": alert.job_id,
        "storage_id": alert.storage_id,
        "count": alert.count,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
    }
