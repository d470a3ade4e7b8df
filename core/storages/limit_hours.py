"""At which hours a storage's bandwidth limits hold: "08:00-18:00", "Mon-Fri 08:00-18:00", "" for always."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TEXT = re.compile(
    r"(?:(?P<first>[a-z]{3,9})(?:\s*-\s*(?P<last>[a-z]{3,9}))?\s+)?(?P<start>[\d:]+)\s*-\s*(?P<end>[\d:]+)\Z"
)
_CLOCK = re.compile(r"(\d{1,2})(?::([0-5]\d))?\Z")
_ADVICE = "write hours as 08:00-18:00, or Mon-Fri 08:00-18:00"


def parse(text: str) -> str:
    """Return hours as they are stored, from "8-18", "Mon-Fri 8:00 – 18:00" and the like; "" for always.

    Raises ValueError that says what to write.
    """
    text = text.strip().lower().replace("–", "-")
    if not text:
        return ""
    found = _TEXT.match(text)
    if found is None:
        raise ValueError(_ADVICE)
    start, end = _clock(found["start"]), _clock(found["end"])
    if start == end:
        raise ValueError("hours that begin and end at the same time are none; leave it empty for always")
    days = _days(found["first"], found["last"])
    return f"{days} {start}-{end}".strip()


def hold(hours: str, now: datetime, zone: str) -> bool:
    """Tell whether it is within the hours, by the wall clock of a zone. A day's hours may pass midnight."""
    if not hours:
        return True
    days, start, end = _read(hours)
    local = now.astimezone(ZoneInfo(zone))
    today, at = local.weekday(), local.time()
    if start < end:
        return today in days and start <= at < end
    yesterday = (local.date() - timedelta(days=1)).weekday()
    return (today in days and at >= start) or (yesterday in days and at < end)


def words_of(hours: str, zone: str) -> str:
    """Say it, to follow a limit: "from 08:00 to 18:00, Monday to Friday (Europe/Berlin)"."""
    if not hours:
        return "at all hours"
    days, _, times = hours.rpartition(" ")
    start, _, end = times.partition("-")
    first, _, last = days.partition("-")
    on = f" on {_long(first)}s" if first and not last else ""
    on = f", {_long(first)} to {_long(last)}" if last else on
    return f"from {start} to {'midnight' if end == '24:00' else end}{on} ({zone}); full speed otherwise"


def _clock(text: str) -> str:
    found = _CLOCK.match(text)
    if found is None:
        raise ValueError(_ADVICE)
    hour, minute = int(found[1]), int(found[2] or 0)
    if hour > 24 or (hour == 24 and minute):
        raise ValueError(_ADVICE)
    return f"{hour:02}:{minute:02}"


def _days(first: str | None, last: str | None) -> str:
    if first is None:
        return ""
    names = [_day(name) for name in (first, last) if name is not None]
    return "-".join(dict.fromkeys(names))


def _day(text: str) -> str:
    for short, name in zip(_DAYS, _DAY_NAMES, strict=True):
        if name.lower().startswith(text):
            return short
    raise ValueError(f"{text!r} is no day; {_ADVICE}")


def _long(short: str) -> str:
    return _DAY_NAMES[_DAYS.index(short)]


def _read(hours: str) -> tuple[set[int], time, time]:
    """Return the days of the week, the start and the end; an end of 24:00 is midnight, the start of a day."""
    days, _, times = hours.rpartition(" ")
    start, _, end = times.partition("-")
    first, _, last = days.partition("-")
    if not first:
        chosen = set(range(7))
    else:
        begin, count = _DAYS.index(first), (_DAYS.index(last or first) - _DAYS.index(first)) % 7 + 1
        chosen = {(begin + number) % 7 for number in range(count)}
    return chosen, _time(start), _time(end)


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(hour % 24, minute)
