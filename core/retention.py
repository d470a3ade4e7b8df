"""Retention: which points stay and why, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core import points
from core.models import Config, Point

TRASH_FOR = timedelta(days=7)
# Never more than this share of the points at once, unless a person confirmed it. A single one may always
# go: in daily use each new point pushes one out, and of two points that is half.
BRAKE_SHARE = 0.5
BRAKE_FROM = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """`days` counts back from the newest good point; None: without that limit."""

    days: int | None
    max_backups: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What retention does with one good point, and the reason in words."""

    point: Point
    keep: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule would do now. `oldest_before`, `oldest_after`: when the oldest point was taken."""

    decisions: Sequence[Decision]
    removed: int
    kept: int
    oldest_before: datetime | None
    oldest_after: datetime | None
    braked: bool


def rule_of(config: Config) -> Rule:
    """Return the rule that a config has."""
    return Rule(config.retention.get("days"), config.retention.get("max_backups"))


def plan(config: Config, rule: Rule | None = None) -> list[Decision]:
    """Decide about each good point of a config, newest first; with `rule`, as if that were the config's."""
    return decide(points.good_points(config.id), rule or rule_of(config))


def preview(config: Config, rule: Rule | None = None) -> Preview:
    """Say what `rule` (the config's own if None) would remove now."""
    decisions = plan(config, rule)
    kept = [decision.point.taken_at for decision in decisions if decision.keep]
    every = [decision.point.taken_at for decision in decisions]
    removed = len(every) - len(kept)
    return Preview(
        decisions, removed, len(kept), min(every, default=None), min(kept, default=None),
        is_braked(removed, len(every)),
    )  # fmt: skip


def decide(good: Sequence[Point], rule: Rule, now: datetime | None = None) -> list[Decision]:
    """Apply a rule to good points, newest first.

    The newest by time is kept, and the one made last, whatever the clock said then. One from the future is
    left alone, and no other is counted from it.
    """
    timely = [point for point in good if not points.is_from_future(point, now)]
    within = [
        point
        for point in timely
        if rule.days is None or timely[0].taken_at - point.taken_at <= timedelta(rule.days)
    ]
    places = {point.id: number for number, point in enumerate(within, 1)}
    always = {
        point.id: "it is dated in the future, so no rule counts it"
        for point in good[: len(good) - len(timely)]
    }
    if good:
        always.setdefault(max(point.id for point in good), "the point made last is always kept")
    if timely:
        always[timely[0].id] = "the last good point is always kept"
    return [_decide(point, always.get(point.id), places.get(point.id), rule) for point in good]


def is_braked(removed: int, total: int) -> bool:
    """Tell whether removing so many at once needs a person's confirmation."""
    return removed > BRAKE_FROM and removed > total * BRAKE_SHARE


def _decide(point: Point, always: str | None, place: int | None, rule: Rule) -> Decision:
    if always is not None:
        return Decision(point, True, always)
    if place is None:
        return Decision(point, False, f"more than {_count(rule.days, 'day')} older than the newest point")
    if rule.max_backups is not None and place > rule.max_backups:
        return Decision(point, False, f"not among the newest {_count(rule.max_backups, 'point')}")
    return Decision(point, True, _why_kept(place, rule))


def _why_kept(place: int, rule: Rule) -> str:
    reasons = []
    if rule.days is not None:
        reasons.append(f"within {_count(rule.days, 'day')} of the newest point")
    if rule.max_backups is not None:
        reasons.append(f"number {place} of at most {rule.max_backups}")
    return " and ".join(reasons) or "no rule removes it"


def _count(number: int | None, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
