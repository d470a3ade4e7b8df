"""A cron line as a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cron_descriptor import Options, get_description  # type: ignore[import-untyped]

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_DAY_NUMBERS = {day[:3].lower(): number for number, day in enumerate(_DAYS)}


def describe(cron: str, zone: str) -> str:
    """Return the schedule in words, such as "every day at 02:00, Europe/Berlin"."""
    if not cron:
        return "only when started by hand"
    return f"{_plain(cron) or _other(cron)}, {zone}"


def _plain(cron: str) -> str:
    """Return the words for the common forms; "" for any other."""
    minute, hour, day, month, weekday = cron.split()
    if month != "*":
        return ""
    if (day, weekday) == ("*", "*") and (often := _often(minute, hour)):
        return often
    times = _times(minute, hour)
    days = _days(day, weekday)
    return f"{days} at {times}" if times and days else ""


def _often(minute: str, hour: str) -> str:
    every_minutes, every_hours = (re.fullmatch(r"\*/(\d+)", text) for text in (minute, hour))
    if hour == "*" and minute == "*":
        return "every minute"
    if hour == "*" and every_minutes and 60 % int(every_minutes[1]) == 0:
        return f"every {every_minutes[1]} minutes"
    if hour == "*" and minute.isdigit():
        return f"every hour at :{int(minute):02d}"
    if every_hours and minute.isdigit() and 24 % int(every_hours[1]) == 0:
        return f"every {every_hours[1]} hours at :{int(minute):02d}"
    return ""


def _times(minute: str, hour: str) -> str:
    if not (minute.isdigit() and re.fullmatch(r"\d+(,\d+)*", hour)):
        return ""
    return _join([f"{int(part):02d}:{int(minute):02d}" for part in hour.split(",")])


def _days(day: str, weekday: str) -> str:
    if (day, weekday) == ("*", "*"):
        return "every day"
    if weekday == "*" and re.fullmatch(r"\d+(,\d+)*", day):
        numbers = day.split(",")
        return f"every month on day{'s' if len(numbers) > 1 else ''} {_join(numbers)}"
    return _weekdays(weekday) if day == "*" else ""


def _weekdays(weekday: str) -> str:
    numbers = [_DAY_NUMBERS.get(part, part) for part in weekday.lower().split(",")]
    if numbers in (["1-5"], ["mon-fri"]):
        return "Monday to Friday"
    if not all(re.fullmatch(r"[0-7]", str(number)) for number in numbers):
        return ""
    return f"every {_join([_DAYS[int(number) % 7] for number in numbers])}"


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _other(cron: str) -> str:
    options = Options()
    options.use_24hour_time_format = True
    text = str(get_description(cron, options))
    return text[0].lower() + text[1:]
