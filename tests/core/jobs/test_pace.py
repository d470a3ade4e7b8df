"""The rate of a running job: that of the last half minute, and none before it is known."""

from __future__ import annotations

from core.jobs.pace import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def rates(clock: Clock, pace: Pace, phase: str, done: list[int]) -> list[int | None]:
    """Return what is said each second."""
    found = []
    for each in done:
        clock.now += 1
        found.append(pace.note(phase, each))
    return found


def test_nothing_is_said_before_it_is_known() -> None:
    clock = Clock()
    assert rates(clock, Pace(clock), "copying", [0, 5, 10, 15, 20, 25]) == [None] * 4 + [5, 5]


def test_it_follows_a_line_that_gets_slower_within_half_a_minute() -> None:
    clock = Clock()
    pace = Pace(clock)
    rates(clock, pace, "copying", [1000 * n for n in range(100)])
    assert rates(clock, pace, "copying", [99_000 + 10 * n for n in range(1, 33)])[-1] == 10
    assert rates(clock, pace, "copying", [99_320] * 33)[-1] == 0


def test_another_phase_begins_anew() -> None:
    """Looking for what is missing moves no bytes; that says nothing of how fast they will be."""
    clock = Clock()
    pace = Pace(clock)
    rates(clock, pace, "comparing", [0] * 60)
    assert rates(clock, pace, "copying", [0, 100, 200, 300, 400]) == [None] * 4 + [100]
    assert rates(clock, pace, "copying", [0])[0] is None, "another attempt, or place"
