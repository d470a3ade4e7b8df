"""The part of a config's form that says where its points go: one block of fields for each destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.configs.destinations import AFTER, LONGEST_LIST
from core.models import RepositoryRecord
from core.retention.retention_rules import TIERS, RetentionRule
from core.storages import storages
from webapp.forms import Form

RULE = tuple(RetentionRule.model_fields)
KEEPS = (
    ("keep_last", "The newest"),
    ("keep_hourly", "Hours"),
    ("keep_daily", "Days"),
    ("keep_weekly", "Weeks"),
    ("keep_monthly", "Months"),
    ("keep_yearly", "Years"),
)
_PRESETS = {str(key): {name: str(tier.rule.get(name, "")) for name in RULE} for key, tier in TIERS.items()}
WHEN_CHOICES = ((AFTER, "After each backup"), ("cron", "By a cron line"))


def values_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields for the destinations of a config as core describes it."""
    given = data.get("destinations") or [
        {"repository_id": data.get("repository_id"), "tier": "hot", "retention": data.get("retention", {})}
    ]
    values: dict[str, Any] = {}
    for place, one in enumerate(given):
        values |= _fields(place, one)
    return values


def places(form: Form) -> list[int]:
    """Return the numbers of the blocks that a form has, in order."""
    found = (name.split(".") for name in form.all() if name.startswith("destinations."))
    return sorted({int(parts[1]) for parts in found if parts[1].isdecimal() and len(parts[1]) < 4})


def to_input(form: Form) -> list[dict[str, Any]]:
    """Return the destinations that a form asks for, for core's schema; unused blocks are left out."""
    return [_settled(form, place) for place in places(form)]


def changed(form: Form) -> Form:
    """Return the form after what was pressed in this part: one more, one less, or another tier chosen."""
    given = to_input(form)
    remove = form.value("remove")
    if remove.isdecimal() and 0 < int(remove) < len(given):
        del given[int(remove)]
    if form.value("add") and len(given) < LONGEST_LIST:
        given.append(_next(given))
    kept = {name: value for name, value in form.all().items() if not name.startswith("destinations.")}
    return Form(kept | values_of({"destinations": given}))


def can_add(form: Form) -> bool:
    """Tell whether there is a repository that the form does not use yet."""
    return len(places(form)) < min(LONGEST_LIST, len(storages.repository_choices()))


def repositories() -> list[tuple[str, str]]:
    """Return the repositories to choose from, by the name of their storage."""
    return [(one.id, _label(one)) for one in storages.repository_choices()]


def _label(record: RepositoryRecord) -> str:
    return record.storage.name + ("" if record.encrypted else " (not encrypted)")


def _fields(place: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of one block; `was` is the tier whose preset they showed when they were filled."""
    start, when, tier = f"destinations.{place}.", given.get("when") or AFTER, given.get("tier") or "hot"
    rule = given.get("retention") or {}
    values = {"repository_id": given.get("repository_id"), "tier": tier, "was": tier}
    values |= {"when": AFTER if when == AFTER else "cron", "cron": "" if when == AFTER else when}
    return {start + name: value for name, value in values.items()} | {
        f"{start}retention.{name}": rule.get(name) for name in RULE
    }


def _settled(form: Form, place: int) -> dict[str, Any]:
    """Return what one block asks for. A tier just chosen brings its preset, unless the old one was edited."""
    start = f"destinations.{place}."
    tier, was = form.value(f"{start}tier") or "hot", form.value(f"{start}was")
    rule = {name: form.value(f"{start}retention.{name}").strip() for name in RULE}
    if tier not in (was, "custom") and tier in _PRESETS and rule == _PRESETS.get(was):
        rule = dict(_PRESETS[tier])
    when = form.value(f"{start}cron").strip() or "cron" if form.value(f"{start}when") == "cron" else AFTER
    repository_id = form.value(f"{start}repository_id") or (_first() if place == 0 else "")
    return {"repository_id": repository_id, "tier": tier, "retention": rule, "when": when}


def _first() -> str:
    """Return the repository that is shown as chosen where none was: the first."""
    return next((one.id for one in storages.repository_choices()), "")


def _next(given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one more destination: the first repository that is not used yet, as a warm one."""
    used = {one["repository_id"] for one in given}
    free = [one.id for one in storages.repository_choices() if one.id not in used]
    return {"repository_id": free[0] if free else "", "tier": "warm", "retention": _PRESETS["warm"]}
