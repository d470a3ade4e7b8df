"""When runs really begin: out of quiet hours, spread, through the changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import spans
from core.configs import timing
from core.schedules import fire_times, quiet_hours, run_times
from core.schedules.run_times import RunTimes

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(cron: str, *lines: str, zone: str = "UTC", offset: int = 0) -> RunTimes:
    return RunTimes(cron, zone, [quiet_hours.parse(line) for line in lines], timedelta(minutes=offset))


def runs(found: RunTimes, after: str, until: str) -> list[str]:
    return [moment.strftime("%d %H:%M") for moment in run_times.between(found, at(after), at(until))]


def test_a_run_in_quiet_hours_begins_when_they_end_and_several_are_one() -> None:
    hourly = times("0 * * * *", "Mon-Fri 08:00-18:00")
    assert runs(hourly, "2026-11-23 05:30", "2026-11-23 20:30") == [
        "23 06:00", "23 07:00", "23 18:00", "23 19:00", "23 20:00",
    ]  # fmt: skip
    assert len(runs(hourly, "2026-11-21 23:30", "2026-11-22 23:30")) == 24  # a Sunday


def test_one_that_waits_for_quiet_hours_is_found_whenever_it_is_asked_for() -> None:
    daily = times("0 9 * * *", "08:00-18:00")
    assert runs(daily, "2026-11-23 09:30", "2026-11-23 18:00") == ["23 18:00"]
    assert runs(daily, "2026-11-23 18:00", "2026-11-24 17:59") == []


def test_windows_may_pass_midnight_and_follow_each_other() -> None:
    night = times("0 23 * * *", "Sun 22:00-06:00", "Mon 06:00-07:30")
    assert runs(night, "2026-11-22 12:00", "2026-11-24 12:00") == ["23 07:30", "23 23:00"]


def test_quiet_hours_are_those_of_the_wall_through_both_changes() -> None:
    quiet = times("0 1 * * *", "00:30-02:30", zone=BERLIN)
    assert runs(quiet, "2026-03-27 12:00", "2026-03-30 12:00") == ["28 01:30", "29 01:00", "30 00:30"]
    assert runs(quiet, "2026-10-23 12:00", "2026-10-26 12:00") == ["24 00:30", "25 00:30", "26 01:30"]


def test_each_config_has_a_time_of_its_own_in_the_spread_always_the_same() -> None:
    fields = timing.TimingFields(spread=3600)
    offsets = {run_times.given("0 2 * * *", "UTC", fields, f"config {number}").offset for number in range(60)}
    assert len(offsets) > 50
    assert timedelta(0) <= min(offsets) <= max(offsets) <= timedelta(hours=1)
    once, again = (run_times.given("0 2 * * *", "UTC", fields, "x").offset for _ in range(2))
    assert once == again
    assert runs(times("0 2 * * *", offset=20), "2026-11-23 02:10", "2026-11-24 02:19") == ["23 02:20"]


@settings(max_examples=25)
@given(
    st.sampled_from(["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "15 2 * * 0"]),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 900)), max_size=3),
    st.integers(0, 120),
    st.integers(41, 400),
    st.sampled_from(["2026-03-27 00:00", "2026-10-23 00:00", "2026-12-30 00:00"]),
)
def test_the_answer_does_not_depend_on_when_it_is_asked(
    cron: str, spec: list[tuple[int, int, int]], offset: int, step: int, start: str
) -> None:
    """No run is lost or comes twice, however often somebody looks; none begins in quiet hours."""
    windows = [quiet_hours.Window(frozenset([day]), begin, begin + size) for day, begin, size in spec]
    found = RunTimes(cron, BERLIN, windows, timedelta(minutes=offset))
    begin, end = at(start), at(start) + timedelta(days=4)
    whole, stepwise, now = list(run_times.between(found, begin, end)), [], begin
    while now < end:
        later = min(now + timedelta(minutes=step), end)
        stepwise += run_times.between(found, now, later)
        now = later
    assert stepwise == whole == sorted(set(whole))
    assert all(quiet_hours.end_of(windows, BERLIN, moment) == moment for moment in whole)
    if not windows:
        plain = fire_times.runs_between(cron, BERLIN, begin - found.offset, end - found.offset)
        assert whole == [moment + found.offset for moment in plain]


@pytest.mark.parametrize(
    ("given_line", "plain"),
    [
        ("mon - fri 8:00 - 18:00", "Mon-Fri 08:00-18:00"),
        ("22:00-06:00", "22:00-06:00"),
        ("Sat,su 00:00–24:00", "Sat,Sun 00:00-24:00"),
        ("Fri-Mon 20:00-24:00", "Mon,Fri-Sun 20:00-24:00"),
    ],
)
def test_quiet_hours_are_brought_into_their_plain_form(given_line: str, plain: str) -> None:
    assert quiet_hours.check([given_line, " "]) == [plain]
    assert quiet_hours.check([plain]) == [plain]


@pytest.mark.parametrize(
    "lines",
    [["at night"], ["Mon 8-18"], ["Foo 08:00-18:00"], ["08:00-25:00"], ["08:00-08:00"], ["00:00-24:00"]],
)
def test_quiet_hours_that_cannot_be_are_refused(lines: list[str]) -> None:
    with pytest.raises(ValueError, match=r"quiet hours|no day|no time|no length"):
        quiet_hours.check(lines)


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("90m", 5400, "1h 30m"),
        ("45", 2700, "45m"),
        ("1d 12h", 129600, "1d 12h"),
        ("30 min", 1800, "30m"),
        ("5s", 5, "5s"),
    ],
)
def test_spans_are_read_and_said(text: str, seconds: int, said: str) -> None:
    assert spans.parse(text) == seconds
    assert spans.say(seconds) == said
    assert spans.parse(said) == seconds


@pytest.mark.parametrize("text", ["soon", "4 hours", "1x", "-3m", "", "1h and 3m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="90m"):
        spans.parse(text)


@pytest.mark.parametrize(
    ("cron", "lines", "offset"),
    [("0 2 * * *", (), 0), ("*/40 * * * *", ("08:00-09:30",), 7), ("30 1 * * Sun", ("Sun 01:00-04:00",), 45)],
)
def test_the_next_runs_are_the_same_whatever_was_asked_for_before(
    cron: str, lines: tuple[str, ...], offset: int
) -> None:
    """Through both changes of the clock, forwards and then back, for fewer runs and for more."""
    found = RunTimes(
        cron, BERLIN, tuple(quiet_hours.parse(line) for line in lines), timedelta(minutes=offset)
    )
    steps = [
        at(day) + timedelta(minutes=41) * step for day in ("2026-03-28", "2026-10-24") for step in range(72)
    ]
    for place, moment in enumerate([*steps, *reversed(steps)]):
        number = (1, 9, 3, 1)[place % 4]
        fresh = list(islice(run_times.between(found, moment, moment + timedelta(days=400)), number))
        assert run_times.upcoming(found, number, moment) == fresh, moment
    assert run_times.upcoming(found, 0, steps[0]) == []


def test_what_runs_by_hand_only_has_no_next_run() -> None:
    found = RunTimes("", "UTC")
    assert [run_times.upcoming(found, number, at("2026-03-28")) for number in (0, 1, 9)] == [[], [], []]
