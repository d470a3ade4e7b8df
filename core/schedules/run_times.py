"""When runs of a config really begin: its cron line, moved out of quiet hours, and spread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from core.configs import timing
from core.models import Config, Destination
from core.schedules import fire_times, quiet_hours
from core.schedules.quiet_hours import Window

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class RunTimes:
    """A schedule as it is kept to. `offset`: how long after its due time each run begins."""

    cron: str
    zone: str
    windows: tuple[Window, ...] = ()
    offset: timedelta = timedelta(0)


# The newest run of a schedule and the one after it: pages ask for hundreds of them each few seconds.
_LAST: dict[RunTimes, tuple[datetime, datetime]] = {}
# From when on these are the next runs of a schedule, until the first of them begins.
_NEXT: dict[RunTimes, tuple[datetime, list[datetime]]] = {}
_MOST_KNOWN = 10_000


def of(config: Config) -> RunTimes:
    """Return the run times of a config."""
    return given(config.cron, config.timezone, timing.of(config), config.id)


def given(cron: str, zone: str, fields: timing.TimingFields, config_id: str = "") -> RunTimes:
    """Return the run times that an input means."""
    windows = tuple(quiet_hours.parse(line) for line in fields.blackouts)
    return RunTimes(cron, zone, windows, _offset(config_id, fields.spread or 0))


def between(times: RunTimes, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield when runs begin, later than `after` and not later than `until`, ascending, in UTC.

    Those that fall into the same quiet hours are one, at their end.
    """
    for begin in _from(times, after):
        if begin > until:
            return
        yield begin


def upcoming(times: RunTimes, number: int, after: datetime) -> list[datetime]:
    """Return when the next runs begin; none for an empty cron line."""
    since, runs = _NEXT.get(times, (after, []))
    if not runs or len(runs) < number or not since <= after < runs[0]:
        # Who asks for fewer shares what was found for who asks for more.
        runs = list(islice(_from(times, after), max(number, len(runs))))
        _remember(_NEXT, times, (after, runs))
    return runs[:number]


def last(times: RunTimes, now: datetime, *, within: timedelta) -> datetime | None:
    """Return when the newest run should have begun that is not later than `now`."""
    known = _LAST.get(times)
    if known is None or not known[0] <= now < known[1]:
        known = _find_last(times, now, within)
        if known is None:
            return None
        _remember(_LAST, times, known)
    return known[0] if known[0] > now - within else None


def for_copies(destination: Destination) -> RunTimes:
    """Return when copies to a destination are due by its own cron line, out of its config's quiet hours."""
    config = destination.config
    return given(destination.copy_when, config.timezone, timing.of(config).model_copy(update={"spread": 0}))


def free_from(config: Config, moment: datetime) -> datetime:
    """Return the first moment from this one on that lies in no quiet hours of a config.

    Where its zone cannot be read, the moment itself: the tick tells of that.
    """
    windows = of(config).windows
    try:
        return quiet_hours.end_of(windows, config.timezone, moment) if windows else moment
    except fire_times.UNREADABLE:
        return moment


def is_quiet(config: Config, moment: datetime) -> bool:
    """Tell whether nothing of a config may begin by itself at a moment."""
    return free_from(config, moment) != moment


def _remember(known: dict[RunTimes, _Found], times: RunTimes, found: _Found) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known[times] = found


def _find_last(times: RunTimes, now: datetime, within: timedelta) -> tuple[datetime, datetime] | None:
    """Return when the newest run should have begun, and the one after it."""
    for window in (timedelta(hours=1), timedelta(days=1), timedelta(days=8), within):
        if runs := list(between(times, now - min(window, within), now)):
            return runs[-1], next(_from(times, now))
    return None


def _from(times: RunTimes, after: datetime) -> Iterator[datetime]:
    if not times.cron:
        return
    # A run due before `after` may have waited for quiet hours to end.
    start = quiet_hours.start_of(times.windows, times.zone, after) - times.offset
    newest = after
    for due_at in fire_times.from_(times.cron, times.zone, start):
        begin = quiet_hours.end_of(times.windows, times.zone, due_at + times.offset)
        if begin > newest:
            newest = begin
            yield begin


def _offset(config_id: str, spread_s: int) -> timedelta:
    """Return a time of its own for each config, always the same: its runs stay as far apart as they were."""
    if not spread_s:
        return timedelta(0)
    chosen = int.from_bytes(hashlib.sha256(config_id.encode()).digest()[:8], "big")
    return timedelta(seconds=chosen % (spread_s + 1))
