"""How states look: a tone (colour), an icon and the word, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask


@dataclass(frozen=True, slots=True)
class Look:
    """Tone: good, warn, bad, info or none."""

    tone: str
    icon: str
    word: str


_STATES = {
    "Paused": Look("none", "circle-pause", "Paused"),
    "Running": Look("info", "loader", "Running"),
    "Failing": Look("bad", "circle-x", "Failing"),
    "Late": Look("bad", "clock", "Late"),
    "Suspect": Look("warn", "shield-alert", "Suspect"),
    "Unproven": Look("warn", "eye", "Unproven"),
    "Degraded": Look("warn", "unplug", "Degraded"),
    "New": Look("info", "circle-dashed", "New"),
    "Protected": Look("good", "shield-check", "Protected"),
}

_STATUSES = {
    "queued": Look("info", "clock", "Queued"),
    "waiting": Look("warn", "clock", "Waiting"),
    "running": Look("info", "loader", "Running"),
    "completed": Look("good", "circle-check", "Completed"),
    "warning": Look("warn", "triangle-alert", "Warning"),
    "failed": Look("bad", "circle-x", "Failed"),
    "cancelled": Look("none", "circle-slash", "Cancelled"),
    "interrupted": Look("bad", "octagon-x", "Interrupted"),
    "missed": Look("bad", "clock", "Missed"),
}

_SEVERITIES = {
    "error": Look("bad", "circle-alert", "Error"),
    "warning": Look("warn", "triangle-alert", "Warning"),
}


def state_look(word: str) -> Look:
    """Return the look of a config's state."""
    return _STATES.get(word) or Look("none", "info", word)


def status_look(word: str) -> Look:
    """Return the look of a job's status."""
    return _STATUSES.get(word) or Look("none", "info", word.capitalize())


def severity_look(word: str) -> Look:
    """Return the look of an alert's severity."""
    return _SEVERITIES.get(word) or Look("none", "info", word.capitalize())


def register(app: Flask) -> None:
    """Give the templates these looks, and the vocabulary of filters."""
    for function in (state_look, status_look, severity_look):
        app.add_template_filter(function)
    app.jinja_env.globals["STATUSES"] = [name for name in _STATUSES if name not in ("waiting", "missed")]
    app.jinja_env.globals["Look"] = Look
