"""Hours in which no run begins by itself: windows of the week, on the wall clock of a zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.schedules.fire_times import first_moment_of

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LINE = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z,\- ]*?)\s+)?(?P<start>\d{1,2}:\d\d)\s*[-–]\s*(?P<end>\d{1,2}:\d\d)\Z"
)
_MINUTES = 24 * 60
# In a week at least so much must stay free, or a run would wait for ever.
LEAST_FREE = 60
MOST_WINDOWS = 20


@dataclass(frozen=True, slots=True)
class Window:
    """Some hours of some days of the week (0 is Monday), in minutes; `end` above 1440 is on the next day."""

    days: frozenset[int]
    start: int
    end: int

    def __str__(self) -> str:
        every = len(self.days) == len(_DAYS)
        days = "" if every else f"{_names(self.days)} "
        end = self.end if self.end == _MINUTES else self.end % _MINUTES
        return f"{days}{_clock(self.start)}-{_clock(end)}"


def parse(line: str) -> Window:
    """Return the window that a line describes: "Mon-Fri 08:00-18:00", "22:00-06:00". Raises ValueError."""
    found = _LINE.match(line.strip())
    if found is None:
        raise ValueError(f"write quiet hours as Mon-Fri 08:00-18:00 or 22:00-06:00, not {line.strip()!r}")
    start, end = _minutes(found["start"]), _minutes(found["end"])
    if start in (_MINUTES, end):
        raise ValueError(f"{line.strip()!r} has no length: for a whole day write 00:00-24:00")
    return Window(_days(found["days"] or "Mon-Sun"), start, end if end > start else end + _MINUTES)


def check(lines: Sequence[str]) -> list[str]:
    """Return the lines in their plain form. Raises ValueError, also if no hour of the week is left."""
    windows = [parse(line) for line in lines if line.strip()]
    if len(windows) > MOST_WINDOWS:
        raise ValueError(f"at most {MOST_WINDOWS} lines of quiet hours")
    week = {
        (day * _MINUTES + minute) % (7 * _MINUTES)
        for window in windows
        for day in window.days
        for minute in range(window.start, window.end)
    }
    if len(week) > 7 * _MINUTES - LEAST_FREE:
        raise ValueError("quiet hours must leave at least an hour of the week free")
    return [str(window) for window in windows]


def end_of(windows: Sequence[Window], zone: str, moment: datetime) -> datetime:
    """Return the first moment from this one on that lies in no window."""
    while (found := _around(windows, zone, moment)) is not None:
        moment = found[1]
    return moment


def start_of(windows: Sequence[Window], zone: str, moment: datetime) -> datetime:
    """Return when the windows began that this moment lies in; the moment itself if it lies in none."""
    just = timedelta(microseconds=1)
    begun = moment
    while (found := _around(windows, zone, begun)) is not None:
        begun = found[0] - just
    return begun


def _around(windows: Sequence[Window], zone: str, moment: datetime) -> tuple[datetime, datetime] | None:
    """Return begin and end of a window that a moment lies in."""
    tz = ZoneInfo(zone)
    today = moment.astimezone(tz).date()
    for window in windows:
        for day in (today, today - timedelta(days=1)):
            if day.weekday() in window.days:
                start, end = _at(day, window.start, tz), _at(day, window.end, tz)
                if start <= moment < end:
                    return start, end
    return None


def _at(day: date, minutes: int, tz: ZoneInfo) -> datetime:
    return first_moment_of(datetime.combine(day, time()) + timedelta(minutes=minutes), tz).astimezone(UTC)


def _names(days: frozenset[int]) -> str:
    """Say days of a week: Mon-Fri, Sat,Sun."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    said = [
        f"{_DAYS[run[0]]}-{_DAYS[run[-1]]}" if len(run) > 2 else ",".join(_DAYS[day] for day in run)
        for run in runs
    ]
    return ",".join(said)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        begin, end = _day(first), _day(last or first)
        found |= {number % 7 for number in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _day(name: str) -> int:
    for number, day in enumerate(_DAYS):
        if len(name) >= 2 and name.lower().startswith(day.lower()[: len(name)]):
            return number
    raise ValueError(f"{name!r} is no day of the week: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if minute > 59 or hour * 60 + minute > _MINUTES:
        raise ValueError(f"{text} is no time of a day")
    return hour * 60 + minute


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
