"""The part of a config's form about its runs beside the schedule: quiet hours, spread, retries, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import spans
from core.configs.timing import TimingFields
from webapp.forms import Form

# The names of its fields: a message about one of them opens this part.
NAMES = (
    "blackouts", "spread", "retries.count", "retries.delay", "max_duration", "objectives.rpo",
    "objectives.rto",
)  # fmt: skip


def values_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for a config as core describes it."""
    found = TimingFields.model_validate(
        {name: data[name] for name in TimingFields.model_fields if name in data}
    )
    return {
        "blackouts": "\n".join(found.blackouts),
        "spread": spans.say(found.spread or None),
        "retries.count": found.retries.count or "",
        "retries.delay": spans.say(found.retries.delay_s),
        "max_duration": spans.say(found.max_duration),
        "objectives.rpo": spans.say(found.objectives.rpo),
        "objectives.rto": spans.say(found.objectives.rto),
    }


def to_input(form: Form) -> dict[str, Any]:
    """Return what the form asks for, for core's schema."""
    return {
        "blackouts": form.lines("blackouts"),
        "spread": form.value("spread"),
        "retries": {"count": form.value("retries.count"), "delay": form.value("retries.delay")},
        "max_duration": form.value("max_duration"),
        "objectives": {"rpo": form.value("objectives.rpo"), "rto": form.value("objectives.rto")},
    }


def is_open(form: Form) -> bool:
    """Tell whether this part says something, or has a message."""
    usual = {"retries.delay": spans.say(600)}
    return any(
        form.error(name) or form.value(name).strip() not in ("", usual.get(name, "")) for name in NAMES
    )
