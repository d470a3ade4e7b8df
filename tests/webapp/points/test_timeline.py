"""Points on the time axis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.models import Copy, Point
from webapp.points import timeline

NOW = datetime(2026, 3, 31, tzinfo=UTC)


def point(days: float, added: int = 1, **more: object) -> Point:
    copies = [Copy(trashed_at=NOW if more.pop("trashed", False) else None)]
    return Point(taken_at=NOW - timedelta(days=days), bytes_added=added, warnings=0, copies=copies, **more)


def test_dots_stand_oldest_first_within_the_range() -> None:
    axis = timeline.draw([point(0), point(15), point(30), point(31)], "30", NOW)
    assert [dot.x for dot in axis.dots] == [2.5, 50.0, 97.5]
    assert axis.ticks[0] == (2.5, "1 Mar 2026")
    assert axis.ticks[-1] == (97.5, "31 Mar 2026")


def test_a_dot_grows_with_what_was_added() -> None:
    axis = timeline.draw([point(1, 0), point(2, 25), point(3, 100)], "30", NOW)
    assert [dot.radius for dot in axis.dots] == [11.0, 8.0, 5.0]


def test_all_begins_with_the_oldest_point() -> None:
    axis = timeline.draw([point(400), point(0)], "all", NOW)
    assert [dot.x for dot in axis.dots] == [2.5, 97.5]
    assert timeline.draw([point(400)], "365", NOW).dots == []


def test_an_axis_without_points_or_with_a_wrong_range_is_still_one() -> None:
    assert timeline.draw([], "all", NOW).dots == []
    assert timeline.draw([], "../../x", NOW).chosen == "30"


def test_a_dot_says_what_its_point_is() -> None:
    found = [point(3), point(2), point(1, trashed=True)]
    found[1].warnings = 2
    assert [dot.kind for dot in timeline.draw(found, "30", NOW).dots] == ["good", "warning", "trashed"]


def test_a_point_from_a_clock_that_was_ahead_stays_on_the_axis() -> None:
    assert timeline.draw([point(-5)], "30", NOW).dots[0].x == 97.5


def test_a_crowd_is_thinned_to_its_newest() -> None:
    crowd = [point(number / 100) for number in range(3000)]
    dots = timeline.draw(crowd, "30", NOW).dots
    assert 200 < len(dots) <= 241
    assert dots[-1].point is crowd[0]
