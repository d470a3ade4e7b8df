"""Which snapshots a policy keeps, and why: restic's `forget` rules (restic-format.md, section 13). No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from repository.gotext import LocalZone, parse_time
from repository.snapshot import Snapshot
from repository.snapshots import Found

KEEP_ALL = -1
PERIODS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
WITHIN_PERIODS = PERIODS[1:]

_DAY_S = 86_400
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # after which the Gregorian calendar repeats, weekdays included
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_duration_parts = re.compile(r"(\d+)([ymdh])").findall
_is_duration = re.compile(r"(?:\d{1,6}[ymdh])+").fullmatch

Bucket = Callable[["_Moment", int], object]


class Duration(NamedTuple):
    """A span of the calendar, as restic writes it: 1y5m7d2h."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read restic's form. Raises ValueError that says what to write."""
        if not _is_duration(text):
            raise ValueError(f"{text!r} is no duration; write numbers with y, m, d and h, such as 1y5m7d2h")
        values = {unit: int(number) for number, unit in _duration_parts(text)}
        return cls(*(values.get(unit, 0) for unit in "ymdh"))

    def __str__(self) -> str:
        return "".join(f"{value}{unit}" for value, unit in zip(self, "ymdh", strict=True) if value)


NO_SPAN = Duration()


@dataclass(frozen=True, slots=True)
class KeepRules:
    """What to keep in each group. `counts`: how many of each of PERIODS, KEEP_ALL for all.

    `within_periods`: by WITHIN_PERIODS, how far back from the newest snapshot one of each is kept.
    `tags`: lists of tags; a snapshot that has all of one list is kept.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    within: Duration = NO_SPAN
    within_periods: Mapping[str, Duration] = field(default_factory=dict)
    tags: Sequence[Sequence[str]] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing is asked for; such a policy keeps everything."""
        spans = (self.within, *self.within_periods.values())
        return not (any(self.counts.values()) or self.tags or any(map(any, spans)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one snapshot; no reasons: it goes."""

    snapshot_id: bytes
    snapshot: Snapshot
    reasons: list[str]

    @property
    def keep(self) -> bool:
        """Tell whether the snapshot stays."""
        return bool(self.reasons)


class GroupKey(NamedTuple):
    """What the snapshots of a group have in common; None where it was not grouped by."""

    hostname: str | None
    paths: tuple[str, ...] | None
    tags: tuple[str, ...] | None


def group_snapshots(found: Iterable[Found], by: Iterable[str]) -> dict[GroupKey, list[Found]]:
    """Return the snapshots in groups by any of `host`, `paths` and `tags`, each as a set."""
    wanted = frozenset(by)
    groups: dict[GroupKey, list[Found]] = {}
    for snapshot_id, snapshot in found:
        key = GroupKey(
            snapshot.hostname if "host" in wanted else None,
            tuple(sorted(snapshot.paths)) if "paths" in wanted else None,
            tuple(sorted(snapshot.tags)) if "tags" in wanted else None,
        )
        groups.setdefault(key, []).append((snapshot_id, snapshot))
    return groups


def parse_group_by(text: str) -> frozenset[str]:
    """Read `host,paths,tags`, any of them or none. Raises ValueError."""
    # restic takes the singular and the plural
    names = {
        "host": "host",
        "hosts": "host",
        "path": "paths",
        "paths": "paths",
        "tag": "tags",
        "tags": "tags",
    }
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in names]
    if unknown:
        raise ValueError(f"snapshots cannot be grouped by {unknown[0]!r}, only by host, paths and tags")
    return frozenset(names[part] for part in wanted)


def apply_rules(
    found: Iterable[Found], rules: KeepRules, now_ns: int, zone: LocalZone | None = None
) -> list[Decision]:
    """Decide about the snapshots of one group; the result is newest first.

    A day is a day where the snapshot was made, as its time is written. "Within" counts back from the newest
    snapshot that is not after `now_ns`, in that snapshot's own offset; in `zone`, with its summer time, if
    that has the same offset then (so does restic with the zone of its machine).
    """
    newest_first = sorted(found, key=lambda item: (-item[1].time_ns, item[0]))
    if rules.empty:
        return [Decision(*each, ["policy is empty"]) for each in newest_first]
    counted = [_Counted(name, rules.counts.get(name, 0)) for name in PERIODS]
    limits = _Limits(newest_first, now_ns, zone)
    spans = [
        _Spanned(name, span, limits.start(span)) for name, span in rules.within_periods.items() if any(span)
    ]
    start = limits.start(rules.within)
    decisions = []
    for number, (snapshot_id, snapshot) in enumerate(newest_first):
        moment = _Moment(snapshot.time)
        reasons = [f"has tags [{', '.join(tags)}]" for tags in rules.tags if has_tags(snapshot, tags)]
        if any(rules.within) and moment.ns > start:
            reasons.append(f"within {rules.within}")
        reasons += [reason for each in counted if (reason := each.take(moment, number))]
        reasons += [reason for each in spans if (reason := each.take(moment, number))]
        decisions.append(Decision(snapshot_id, snapshot, reasons))
    return decisions


def has_tags(snapshot: Snapshot, tags: Sequence[str]) -> bool:
    """Tell whether a snapshot has all these tags; the empty tag means that it has none at all."""
    if "" in tags and not snapshot.tags:
        return True
    return all(tag in snapshot.tags for tag in tags)


class _Moment:
    """A snapshot's time, as an instant and as its own clock showed it."""

    def __init__(self, text: str) -> None:
        self.ns = parse_time(text)
        self.year, self.month, self.day = int(text[:4]), int(text[5:7]), int(text[8:10])
        self.hour = int(text[11:13])
        wall_s = _days(self.year, self.month, self.day) * _DAY_S + self.hour * 3600
        wall_s += int(text[14:16]) * 60 + int(text[17:19])
        self.wall_s = wall_s
        self.offset_s = wall_s - self.ns // 1_000_000_000

    @property
    def week(self) -> tuple[int, int]:
        """The week by ISO 8601, with its year."""
        cycles, year = divmod(self.year, _CYCLE_YEARS)
        iso = date(year + _CYCLE_YEARS, self.month, self.day).isocalendar()
        return iso.year + (cycles - 1) * _CYCLE_YEARS, iso.week


_BUCKETS: dict[str, Bucket] = {
    "last": lambda moment, number: number,
    "hourly": lambda moment, number: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment, number: (moment.year, moment.month, moment.day),
    "weekly": lambda moment, number: moment.week,
    "monthly": lambda moment, number: (moment.year, moment.month),
    "yearly": lambda moment, number: moment.year,
}


class _Counted:
    """A rule that keeps the newest of each period until it has kept so many."""

    def __init__(self, name: str, left: int) -> None:
        self._reason = f"{name} snapshot"
        self._bucket = _BUCKETS[name]
        self._left = left
        self._last: object = None

    def take(self, moment: _Moment, number: int) -> str:
        """Return why this snapshot is kept, or nothing."""
        value = self._bucket(moment, number)
        if not self._left or value == self._last:
            return ""
        self._last = value
        if self._left != KEEP_ALL:
            self._left -= 1
        return self._reason


class _Spanned:
    """A rule that keeps the newest of each period from `start_ns` on."""

    def __init__(self, name: str, span: Duration, start_ns: int) -> None:
        self._reason = f"{name} within {span}"
        self._bucket = _BUCKETS[name]
        self._start_ns = start_ns
        self._last: object = None

    def take(self, moment: _Moment, number: int) -> str:
        """Return why this snapshot is kept, or nothing."""
        value = self._bucket(moment, number)
        if moment.ns <= self._start_ns or value == self._last:
            return ""
        self._last = value
        return self._reason


class _Limits:
    """Where spans begin that end at the newest snapshot; one from the future does not count as newest."""

    def __init__(self, newest_first: Sequence[Found], now_ns: int, zone: LocalZone | None) -> None:
        past = (snapshot for _, snapshot in newest_first if snapshot.time_ns < now_ns)
        newest = next(past, None)
        self._newest = _Moment(newest.time if newest else "0001-01-01T00:00:00Z")
        self._zone = zone

    def start(self, span: Duration) -> int:
        """Return the instant that a span goes back to, in ns since the epoch."""
        moment = self._newest
        years, month = divmod(moment.month - 1 - span.months, 12)
        # As Go's AddDate: a day that the month does not have runs over into the next.
        days = _days(moment.year - span.years + years, month + 1, 1) + moment.day - 1 - span.days
        wall_s = days * _DAY_S + moment.wall_s % _DAY_S
        start_s = wall_s - self._offset(wall_s) - span.hours * 3600
        return start_s * 1_000_000_000 + moment.ns % 1_000_000_000

    def _offset(self, wall_s: int) -> int:
        offset, zone = self._newest.offset_s, self._zone
        if zone is None or zone.offset(self._newest.ns // 1_000_000_000) != offset:
            return offset
        # As Go's Date: of the two offsets around a change of the clock, the one that it settles on.
        return zone.offset(wall_s - zone.offset(wall_s))


def _days(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01, for any year."""
    cycles, year = divmod(year, _CYCLE_YEARS)
    ordinal = date(year + _CYCLE_YEARS, month, day).toordinal()
    return ordinal - _EPOCH_ORDINAL + (cycles - 1) * _CYCLE_DAYS
