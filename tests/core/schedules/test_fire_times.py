"""Due times through both changes of the clock, asked for at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.errors import Invalid
from core.schedules import cron_words, fire_times

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> datetime:
    """Return a time in UTC from `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(cron: str, zone: str, after: str, until: str) -> list[str]:
    """Return the due times between two moments of UTC, as text."""
    found = fire_times.runs_between(cron, zone, at(after), at(until))
    return [moment.strftime("%d %H:%M") for moment in found]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "until", "expected"),
    [
        # Spring: 02:00 -> 03:00 (Berlin at 01:00 UTC, New York at 07:00), 02:00 -> 02:30 (Lord Howe).
        (BERLIN, "30 2 * * *", "2026-03-28 00:00", "2026-03-31 00:00", ["28 01:30", "29 01:00", "30 00:30"]),
        (
            NEW_YORK,
            "30 2 * * *",
            "2026-03-07 00:00",
            "2026-03-10 00:00",
            ["07 07:30", "08 07:00", "09 06:30"],
        ),
        (
            LORD_HOWE,
            "10 2 * * *",
            "2026-10-02 00:00",
            "2026-10-05 00:00",
            ["02 15:40", "03 15:30", "04 15:10"],
        ),
        # Autumn: 03:00 -> 02:00 (Berlin, at 01:00 UTC), 02:00 -> 01:00 (New York, at 06:00), 02:00 -> 01:30.
        (BERLIN, "30 2 * * *", "2026-10-24 00:00", "2026-10-27 00:00", ["24 00:30", "25 00:30", "26 01:30"]),
        (
            NEW_YORK,
            "30 1 * * *",
            "2026-10-31 00:00",
            "2026-11-03 00:00",
            ["31 05:30", "01 05:30", "02 06:30"],
        ),
        (
            LORD_HOWE,
            "40 1 * * *",
            "2026-04-03 00:00",
            "2026-04-06 00:00",
            ["03 14:40", "04 14:40", "05 15:10"],
        ),
        # Two runs inside the gap become one.
        (BERLIN, "15,45 2 * * *", "2026-03-28 12:00", "2026-03-29 12:00", ["29 01:00"]),
        # A run at the very end of the gap, and one right before it.
        (BERLIN, "0 3 * * *", "2026-03-28 12:00", "2026-03-29 12:00", ["29 01:00"]),
        (BERLIN, "59 1 * * *", "2026-03-28 12:00", "2026-03-29 12:00", ["29 00:59"]),
    ],
)
def test_a_daily_run_happens_once_a_day(
    zone: str, cron: str, after: str, until: str, expected: list[str]
) -> None:
    assert runs(cron, zone, after, until) == expected


@pytest.mark.parametrize(
    ("zone", "after"),
    [
        (BERLIN, "2026-03-28 20:00"),
        (BERLIN, "2026-10-24 20:00"),
        (NEW_YORK, "2026-03-08 02:00"),
        (NEW_YORK, "2026-11-01 02:00"),
    ],
)
def test_an_hourly_run_follows_the_hours_that_pass(zone: str, after: str) -> None:
    found = list(fire_times.runs_between("5 * * * *", zone, at(after), at(after) + timedelta(hours=12)))
    assert found == [at(after) + timedelta(hours=hour, minutes=5) for hour in range(12)]


def test_a_quarter_hourly_run_knows_half_an_hour_of_change() -> None:
    assert runs("*/15 * * * *", LORD_HOWE, "2026-04-04 14:29", "2026-04-04 15:31") == [
        "04 14:30", "04 14:45", "04 15:00", "04 15:15", "04 15:30",
    ]  # fmt: skip
    assert runs("0 * * * *", LORD_HOWE, "2026-10-03 13:59", "2026-10-03 17:00") == [
        "03 14:30", "03 16:00", "03 17:00",
    ]  # fmt: skip


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Asia/Kathmandu", "Pacific/Apia"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "0 0 1 * *", "15 2 * * 0"])
def test_the_answer_does_not_depend_on_when_it_is_asked(zone: str, cron: str) -> None:
    """Asked in steps of 41 minutes across a year's changes, no run is lost and none comes twice."""
    for start in ("2026-03-06 00:00", "2026-03-27 00:00", "2026-10-01 00:00", "2026-10-23 00:00"):
        begin, end = at(start), at(start) + timedelta(days=4)
        whole = list(fire_times.runs_between(cron, zone, begin, end))
        stepwise: list[datetime] = []
        now = begin
        while now < end:
            later = min(now + timedelta(minutes=41), end)
            stepwise += fire_times.runs_between(cron, zone, now, later)
            now = later
        assert stepwise == whole
        assert whole == sorted(set(whole))


def test_next_runs_are_as_many_as_asked_for() -> None:
    found = fire_times.next_runs("0 4 * * sun", "UTC", 5, at("2026-01-01 00:00"))
    assert [moment.day for moment in found] == [4, 11, 18, 25, 1]
    assert fire_times.next_runs("", "UTC", 5, at("2026-01-01 00:00")) == []


@pytest.mark.parametrize(
    ("given", "plain"),
    [("  0 2  * * * ", "0 2 * * *"), ("@daily", "0 0 * * *"), ("@Weekly", "0 0 * * 0"), ("", ""), (" ", "")],
)
def test_a_line_is_brought_into_its_plain_form(given: str, plain: str) -> None:
    assert fire_times.validate(given, "UTC") == plain


@pytest.mark.parametrize(
    "cron",
    [
        "0 2 * *",
        "61 * * * *",
        "0 0 30 2 *",
        "@reboot",
        "R * * * *",
        "H 2 * * *",
        "0 2 * * * *",
        "0 2 * * x",
        "a\nb",
    ],
)
def test_a_line_that_cannot_be_is_refused(cron: str) -> None:
    with pytest.raises(Invalid) as caught:
        fire_times.validate(cron, "UTC")
    assert "cron" in caught.value.fields


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "Europe/berlin "])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(Invalid) as caught:
        fire_times.validate("0 2 * * *", zone)
    assert "timezone" in caught.value.fields


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 2 * * *", "every day at 02:00, UTC"),
        ("0 2,14 * * *", "every day at 02:00 and 14:00, UTC"),
        ("*/15 * * * *", "every 15 minutes, UTC"),
        ("5 * * * *", "every hour at :05, UTC"),
        ("0 */6 * * *", "every 6 hours at :00, UTC"),
        ("0 4 * * 0", "every Sunday at 04:00, UTC"),
        ("0 4 * * 7", "every Sunday at 04:00, UTC"),
        ("0 4 * * mon,FRI", "every Monday and Friday at 04:00, UTC"),
        ("30 22 * * 1-5", "Monday to Friday at 22:30, UTC"),
        ("30 1 1,15 * *", "every month on days 1 and 15 at 01:30, UTC"),
        ("", "only when started by hand"),
    ],
)
def test_a_schedule_is_said_in_words(cron: str, words: str) -> None:
    assert cron_words.describe(cron, "UTC") == words


@pytest.mark.parametrize(
    "cron", ["0 2 1 1 *", "0 8-18/2 * * 1-5", "0 2 * * sun#1", "7-9 3 */2 * *", "0 0 l * *"]
)
def test_unusual_schedules_get_words_too(cron: str) -> None:
    fire_times.validate(cron, "UTC")
    words = cron_words.describe(cron, "UTC")
    assert words.endswith(", UTC")
    assert len(words) > 10
