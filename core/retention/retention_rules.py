"""Retention rules: their schema, the tiers that preset them, and what they mean in words. No rows, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from core import words
from repository.keep_rules import NO_SPAN, Duration, KeepRules

TierName = Literal["hot", "warm", "cold", "custom"]

PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_NOUNS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


def blank_is_none(value: object) -> object:
    """Take a blank text, as forms send it, for nothing."""
    return None if isinstance(value, str) and not value.strip() else value


def _check_span(text: str) -> str:
    text = text.strip()
    return str(Duration.parse(text)) if text else ""


Days = Annotated[Annotated[int, Field(ge=1, le=36_500)] | None, BeforeValidator(blank_is_none)]
Count = Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, BeforeValidator(blank_is_none)]


class RetentionRule(BaseModel):
    """Keep the newest `max_backups` of those within `days`, and what any `keep_…` names, in restic's meaning.

    None sets no limit and names nothing; with nothing at all set, every point is kept.
    """

    model_config = ConfigDict(extra="forbid")

    days: Days = None
    max_backups: Count = None
    keep_last: Count = None
    keep_hourly: Count = None
    keep_daily: Count = None
    keep_weekly: Count = None
    keep_monthly: Count = None
    keep_yearly: Count = None
    keep_within: Annotated[str, AfterValidator(_check_span)] = ""

    def document(self) -> dict[str, Any]:
        """Return the rule as it is stored: both limits, and those `keep_…` that are set."""
        values = self.model_dump()
        return {name: value for name, value in values.items() if name in ("days", "max_backups") or value}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as retention applies it; see RetentionRule. `days` counts back from the newest good point."""

    days: int | None
    max_backups: int | None
    keep_last: int | None = None
    keep_hourly: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_yearly: int | None = None
    keep_within: str = ""

    @property
    def named(self) -> KeepRules:
        """What the `keep_…` name, for repository.keep_rules."""
        counts = {name: getattr(self, f"keep_{name}") or 0 for name in ("last", *PERIODS)}
        return KeepRules(counts, Duration.parse(self.keep_within) if self.keep_within else NO_SPAN)

    @property
    def limits(self) -> bool:
        """Tell whether the newest are kept by `days` and `max_backups`, and not by `keep_…` alone."""
        return self.days is not None or self.max_backups is not None or self.named.empty


@dataclass(frozen=True, slots=True)
class Tier:
    """What a destination usually is for. `rule` holds the fields of RetentionRule that it sets."""

    label: str
    text: str
    when: str
    rule: Mapping[str, Any]


TIERS: Mapping[TierName, Tier] = MappingProxyType(
    {
        "hot": Tier("Hot", "Every point, for 14 days; read from first.", "after", {"days": 14}),
        "warm": Tier("Warm", "The last point of each day, for 90 days.", "after", {"keep_daily": 90}),
        "cold": Tier("Cold", "The last point of each month, for 3 years.", "after", {"keep_monthly": 36}),
        "custom": Tier("Custom", "Your own rule.", "after", {}),
    }
)


def rule_from(given: RetentionRule | Mapping[str, Any]) -> Rule:
    """Return the rule of an input, or of a stored document."""
    values = given.model_dump() if isinstance(given, RetentionRule) else given
    known = {each.name: values[each.name] for each in fields(Rule) if values.get(each.name)}
    return Rule(**{"days": None, "max_backups": None, **known})


def words_of(rule: Rule) -> str:
    """Say what a rule keeps, to follow "keeps"."""
    kept = [_limit_words(rule)] if rule.limits else []
    if rule.keep_last:
        kept.append(f"the newest {words.count(rule.keep_last, 'point')}")
    for name in PERIODS:
        if number := getattr(rule, f"keep_{name}"):
            noun = _NOUNS[name]
            kept.append(f"the last of each {noun} for {words.count(number, noun)}")
    if rule.keep_within:
        kept.append(f"all within {rule.keep_within}")
    return " and ".join(kept)


def _limit_words(rule: Rule) -> str:
    if rule.days is None:
        return f"the newest {words.count(rule.max_backups, 'point')}" if rule.max_backups else "everything"
    days = words.count(rule.days, "day")
    return f"the newest {words.count(rule.max_backups, 'point')} of {days}" if rule.max_backups else days
