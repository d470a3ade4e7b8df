"""Bandwidth limits hold at the hours that a person wrote, by the wall clock, also past midnight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.storages import limit_hours

ZONE = "Europe/Berlin"


def at(text: str) -> datetime:
    """Return a moment by the wall clock of the zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("", ""), ("8-18", "08:00-18:00"), (" 08:30 – 18:00 ", "08:30-18:00"), ("22-6", "22:00-06:00"),
        ("mon-fri 8-18", "Mon-Fri 08:00-18:00"), ("Monday - Friday 8:00-18:00", "Mon-Fri 08:00-18:00"),
        ("Sat 0-24", "Sat 00:00-24:00"), ("fri-mon 9-12", "Fri-Mon 09:00-12:00"),
    ],
)  # fmt: skip
def test_hours_are_read_as_people_write_them(typed: str, stored: str) -> None:
    assert limit_hours.parse(typed) == stored
    assert limit_hours.parse(stored) == stored


@pytest.mark.parametrize(
    "typed", ["8", "25-26", "8-8", "8:60-9", "Foo 8-18", "mon-fri", "8-18 mon", "24:30-8"]
)
def test_what_is_no_hours_is_refused_with_what_to_write(typed: str) -> None:
    with pytest.raises(ValueError, match=r"08:00-18:00|leave it empty"):
        limit_hours.parse(typed)


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        ("", "2026-11-23T03:00", True),
        ("08:00-18:00", "2026-11-23T08:00", True), ("08:00-18:00", "2026-11-23T17:59:59", True),
        ("08:00-18:00", "2026-11-23T18:00", False), ("08:00-18:00", "2026-11-23T07:59:59", False),
        ("22:00-06:00", "2026-11-23T23:00", True), ("22:00-06:00", "2026-11-23T05:59", True),
        ("22:00-06:00", "2026-11-23T06:00", False), ("22:00-06:00", "2026-11-23T12:00", False),
        ("Mon-Fri 08:00-18:00", "2026-11-20T12:00", True), ("Mon-Fri 08:00-18:00", "2026-11-21T12:00", False),
        ("Fri 22:00-06:00", "2026-11-21T03:00", True), ("Fri 22:00-06:00", "2026-11-20T03:00", False),
        ("Fri-Mon 09:00-12:00", "2026-11-22T10:00", True), ("Fri-Mon 09:00-12:00", "2026-11-24T10:00", False),
        ("Sat 00:00-24:00", "2026-11-21T23:59", True), ("Sat 00:00-24:00", "2026-11-22T00:00", False),
        # The clock went forward at 02:00 and back at 03:00 on these nights.
        ("01:00-04:00", "2026-03-29T03:30", True), ("01:00-04:00", "2026-10-25T02:30", True),
    ],
)  # fmt: skip
def test_they_hold_by_the_wall_clock(hours: str, moment: str, holds: bool) -> None:
    assert limit_hours.hold(hours, at(moment), ZONE) is holds


@given(st.integers(0, 23), st.integers(1, 24), st.integers(0, 365 * 24 * 60))
def test_a_window_and_the_rest_of_the_day_share_all_moments(start: int, end: int, minute: int) -> None:
    if start == end % 24:
        return
    inside, outside = f"{start:02}:00-{end:02}:00", f"{end % 24:02}:00-{start:02}:00"
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    assert limit_hours.hold(inside, now, ZONE) != limit_hours.hold(outside, now, ZONE)


def test_they_are_said_in_words_with_the_zone() -> None:
    assert limit_hours.words_of("", ZONE) == "at all hours"
    said = limit_hours.words_of("Mon-Fri 08:00-18:00", ZONE)
    assert said == "from 08:00 to 18:00, Monday to Friday (Europe/Berlin); full speed otherwise"
    assert "on Saturdays" in limit_hours.words_of("Sat 10:00-12:00", ZONE)
