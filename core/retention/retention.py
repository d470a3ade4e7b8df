"""Retention: which points stay on a destination and why, and what becomes of the others.

Each destination of a config has a rule of its own, applied to the points that have a live copy there. Points
that its rule would keep, and that it lacks, are *wanted* there: core.backups.copying fills them in. A copy
that is the only live one of a point which another destination still wants stays until it was copied there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from core.models import Config, Destination, Point
from core.points import points
from core.retention.retention_rules import Rule, rule_from
from core.retention.retention_rules import words_of as words_of
from core.words import count
from repository.keep_rules import apply_rules
from repository.snapshot import Snapshot

TRASH_FOR = timedelta(days=7)
# Never more than this share of the points at once, unless a person confirmed it. A single one may always
# go: in daily use each new point pushes one out, and of two points that is half.
BRAKE_SHARE = 0.5
BRAKE_FROM = 1

# restic's reasons, as keep_rules gives them, by their first word.
_NAMED = {
    "last": "among the newest",
    "hourly": "the last of its hour",
    "daily": "the last of its day",
    "weekly": "the last of its week",
    "monthly": "the last of its month",
    "yearly": "the last of its year",
}


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
    """Return the rule of a config's first destination."""
    return rule_from(config.retention)


def rule_of_destination(destination: Destination) -> Rule:
    """Return the rule that a destination has."""
    return rule_from(destination.retention)


def plan(
    config: Config,
    rule: Rule | None = None,
    destination: Destination | None = None,
    good: Sequence[Point] | None = None,
) -> list[Decision]:
    """Decide about each good point on a destination (the first if None), newest first.

    With `rule`, as if that were the destination's. `good`: the config's good points, if they are read.
    """
    chosen = destination or next(iter(config.destinations), None)
    if chosen is None:
        return []
    good = points.good_points(config.id) if good is None else good
    there = [point for point in good if points.live_copy_on(point, chosen.repository_id)]
    decisions = decide(there, rule or rule_of_destination(chosen))
    if all(decision.keep for decision in decisions):
        return decisions
    waiting = _waiting(config, good, chosen)
    return [_held_back(decision, waiting, chosen.repository_id) for decision in decisions]


def wanted(destination: Destination, good: Sequence[Point]) -> list[Point]:
    """Return those of a config's good points, newest first, that the destination's rule keeps.

    A pin keeps the copies there are; it asks for no more of them.
    """
    decisions = decide(good, rule_of_destination(destination), with_pins=False)
    return [decision.point for decision in decisions if decision.keep]


def missing(destination: Destination, good: Sequence[Point]) -> list[Point]:
    """Return those of them that have no live copy there."""
    return [
        point
        for point in wanted(destination, good)
        if points.live_copy_on(point, destination.repository_id) is None
    ]


def preview(config: Config, rule: Rule | None = None, destination: Destination | None = None) -> Preview:
    """Say what `rule` (the destination's own if None) would remove now from a destination."""
    return preview_of(plan(config, rule, destination))


def preview_of(decisions: Sequence[Decision]) -> Preview:
    """Say what these decisions would remove."""
    kept = [decision.point.taken_at for decision in decisions if decision.keep]
    every = [decision.point.taken_at for decision in decisions]
    removed = len(every) - len(kept)
    return Preview(
        decisions, removed, len(kept), min(every, default=None), min(kept, default=None),
        is_braked(removed, len(every)),
    )  # fmt: skip


def decide(
    good: Sequence[Point], rule: Rule, now: datetime | None = None, *, with_pins: bool = True
) -> list[Decision]:
    """Apply a rule to good points, newest first.

    The newest by time is kept, and the one made last, whatever the clock said then, and what a person pinned.
    One from the future is left alone, and no other is counted from it.
    """
    timely = [point for point in good if not points.is_from_future(point, now)]
    within = [
        point
        for point in timely
        if rule.days is None or timely[0].taken_at - point.taken_at <= timedelta(rule.days)
    ]
    places = {point.id: number for number, point in enumerate(within, 1)}
    named = _named(timely, rule)
    always = _always(good, timely, with_pins=with_pins)
    return [
        _decide(point, always.get(point.id), places.get(point.id), named.get(point.id, ""), rule)
        for point in good
    ]


def _always(good: Sequence[Point], timely: Sequence[Point], *, with_pins: bool) -> dict[int, str]:
    """Return, by point, why it stays whatever the rule says."""
    always = {
        point.id: "it is dated in the future, so no rule counts it"
        for point in good[: len(good) - len(timely)]
    }
    if good:
        always.setdefault(max(point.id for point in good), "the point made last is always kept")
    if timely:
        always[timely[0].id] = "the last good point is always kept"
    for point in good if with_pins else ():
        if point.pinned_at is not None:
            always[point.id] = " and ".join(filter(None, (_pin_words(point), always.get(point.id))))
    return always


def _pin_words(point: Point) -> str:
    note = f": {point.pin_note}" if point.pin_note else ""
    return f"pinned by {point.pinned_by}{note}" if point.pinned_by else f"pinned{note}"


def is_braked(removed: int, total: int) -> bool:
    """Tell whether removing so many at once needs a person's confirmation."""
    return removed > BRAKE_FROM and removed > total * BRAKE_SHARE


def _named(timely: Sequence[Point], rule: Rule) -> dict[int, str]:
    """Return, by point, why a `keep_…` keeps it; a day is a day in the config's zone."""
    if rule.named.empty or not timely:
        return {}
    zone = ZoneInfo(timely[0].config.timezone if timely[0].config else "UTC")
    found = [(point.id.to_bytes(8, "big"), _as_snapshot(point, zone)) for point in timely]
    decisions = apply_rules(found, rule.named, found[0][1].time_ns + 1)
    return {
        int.from_bytes(each.snapshot_id, "big"): " and ".join(map(_in_words, each.reasons))
        for each in decisions
        if each.keep
    }


def _as_snapshot(point: Point, zone: ZoneInfo) -> Snapshot:
    return Snapshot(time=point.taken_at.astimezone(zone).isoformat(), tree=b"", paths=[])


def _in_words(reason: str) -> str:
    return f"{reason} of the newest point" if reason.startswith("within") else _NAMED[reason.split()[0]]


def _decide(point: Point, always: str | None, place: int | None, named: str, rule: Rule) -> Decision:
    if always is not None:
        return Decision(point, True, always)
    limited = _why_out(place, rule)
    if named or not limited:
        return Decision(point, True, " and ".join(filter(None, (_why_kept(place, limited, rule), named))))
    return Decision(point, False, limited)


def _why_out(place: int | None, rule: Rule) -> str:
    """Say why `days` and `max_backups` do not keep a point; "" if they do."""
    if not rule.limits:
        return "no rule keeps it"
    if place is None:
        return f"more than {count(rule.days or 0, 'day')} older than the newest point"
    if rule.max_backups is not None and place > rule.max_backups:
        return f"not among the newest {count(rule.max_backups, 'point')}"
    return ""


def _why_kept(place: int | None, limited: str, rule: Rule) -> str:
    if limited:
        return ""
    reasons = []
    if rule.days is not None:
        reasons.append(f"within {count(rule.days, 'day')} of the newest point")
    if rule.max_backups is not None:
        reasons.append(f"number {place} of at most {rule.max_backups}")
    return " and ".join(reasons) or "no rule removes it"


def _waiting(config: Config, good: Sequence[Point], but: Destination) -> dict[int, str]:
    """Return the points that other destinations lack and want, each with the name of one that does."""
    waiting: dict[int, str] = {}
    for other in config.destinations:
        if other.repository_id != but.repository_id:
            name = other.repository.storage.name
            waiting |= {point.id: name for point in missing(other, good)}
    return waiting


def _held_back(decision: Decision, waiting: dict[int, str], repository_id: str) -> Decision:
    name = waiting.get(decision.point.id)
    if decision.keep or name is None or _is_elsewhere(decision.point, {repository_id}):
        return decision
    return replace(decision, keep=True, reason=f"its only copy, until it was copied to {name}")


def _is_elsewhere(point: Point, but: Collection[str]) -> bool:
    return any(points.is_live(copy) and copy.repository_id not in but for copy in point.copies)
