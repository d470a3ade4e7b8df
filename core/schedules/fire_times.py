"""When a cron line fires: in time zones, true to the clock on the wall when it is changed.

A run at a fixed time happens once a day: on the night the clock goes back at the first of the two times,
on the night it goes forward right after the gap. A line for every hour follows the hours that really pass.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

from core.errors import Invalid
from core.settings import is_zone

# What asking for the times of a stored line may raise.
UNREADABLE = (CroniterError, ZoneInfoNotFoundError)

# The clocks of this world have not gone back by more in one step while it kept time zones.
_WIDEST_FOLD = timedelta(hours=3)
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = "minute, hour, day of month, month, day of week"
_WORDS = "sun|mon|tue|wed|thu|fri|sat|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|l"
# No R (at random) and no H (by hash): a time must be the same whenever it is asked for.
_ALLOWED = re.compile(rf"([0-9*,/#\- ]|\b({_WORDS})\b)+\Z", re.IGNORECASE)


def validate(cron: str, zone: str) -> str:
    """Return the cron line in its plain form of five fields; empty stays empty. Raises Invalid."""
    if not is_zone(zone):
        raise Invalid({"timezone": f"There is no time zone {zone!r}; write it as Europe/Berlin or UTC."})
    line = " ".join(cron.split())
    line = _ALIASES.get(line.lower(), line)
    if not line:
        return ""
    if len(line.split(" ")) != 5 or not _ALLOWED.match(line):
        raise Invalid({"cron": f"A schedule has five fields: {_FIELDS}, as in 0 2 * * *."})
    try:
        next(_fire_times(line, zone, datetime.now(UTC)))
    except CroniterError as error:
        raise Invalid({"cron": f"{line!r} is not a time that ever comes: {error}."}) from error
    return line


def next_runs(cron: str, zone: str, n: int, after: datetime) -> list[datetime]:
    """Return the next `n` due times after `after`, in UTC; none for an empty cron line."""
    return list(islice(_fire_times(cron, zone, after), n)) if cron else []


def runs_between(cron: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due times later than `after` and not later than `until`, in UTC."""
    if not cron:
        return
    for due_at in _fire_times(cron, zone, after):
        if due_at > until:
            return
        yield due_at


def from_(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Yield all due times later than `after`, ascending, without end, in UTC."""
    return _fire_times(cron, zone, after)


def first_moment_of(wall: datetime, tz: ZoneInfo) -> datetime:
    """Return when a clock on the wall first shows this time, in UTC; if it skips it, the end of the gap."""
    return moments_of(wall, tz, every_hour=False)[0]


def _fire_times(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Yield all due times later than `after`, ascending, each once, in UTC."""
    tz = ZoneInfo(zone)
    every_hour = _is_every_hour(cron)
    waiting: list[datetime] = []
    last = after
    for wall in _wall_times(cron, after.astimezone(tz).replace(tzinfo=None) - _WIDEST_FOLD):
        moments = moments_of(wall, tz, every_hour=every_hour)
        # Nothing that comes later on the wall is earlier than this.
        earliest = wall.replace(tzinfo=tz, fold=1).astimezone(UTC) if not moments else moments[0]
        while waiting and waiting[0] <= earliest:
            due_at = heapq.heappop(waiting)
            if due_at > last:
                last = due_at
                yield due_at
        for moment in moments:
            heapq.heappush(waiting, moment)


def _wall_times(cron: str, start: datetime) -> Iterator[datetime]:
    """Yield what the line means on a clock that never changes. Raises CroniterError."""
    times = croniter(cron, start, ret_type=datetime)
    while True:
        yield times.get_next()


def moments_of(wall: datetime, tz: ZoneInfo, *, every_hour: bool) -> list[datetime]:
    """Return when a run for this time on the wall is due.

    A time that comes twice counts twice only for lines of every hour; one that the clock skips is due
    right after the gap, but for lines of every hour not at all: the next hour is near.
    """
    early, late = (wall.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early <= late:
        return sorted({early, late}) if every_hour else [early]
    return [] if every_hour else [_end_of_gap(late, early, tz)]


def _end_of_gap(before: datetime, after: datetime, tz: ZoneInfo) -> datetime:
    """Return the moment between these two at which the clock goes forward, to the second."""
    offset = before.astimezone(tz).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(tz).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _is_every_hour(cron: str) -> bool:
    hours = croniter.expand(cron)[0][1]
    return hours == ["*"] or len(set(hours)) == 24
