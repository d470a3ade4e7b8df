"""Stacked areas: layers lie on one another, the table says the same, many names become few."""

from __future__ import annotations

from datetime import date, timedelta

from webapp import charts

DAY = date(2026, 3, 1)


def corners(area: charts.Area) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in area.points.split()]  # type: ignore[misc]


def test_one_day_is_no_line() -> None:
    assert charts.stack([]) is None
    assert charts.stack([(DAY, {"a": 5})]) is None


def test_layers_lie_on_one_another_and_days_have_their_place() -> None:
    days = [(DAY, {"a": 1024, "b": 0}), (DAY + timedelta(1), {"a": 1024, "b": 512}),
            (DAY + timedelta(4), {"a": 2048, "b": 1024})]  # fmt: skip
    chart = charts.stack(days)
    assert chart is not None
    assert [area.name for area in chart.areas] == ["a", "b"]
    assert chart.top == 4096
    low, high = (corners(area) for area in chart.areas)
    assert [x for x, _ in low[:3]] == [0, 250, 1000]
    assert low[:3] == [*reversed(high[3:])]
    assert [y for _, y in high[:3]] == [150, 125, 50]
    assert chart.rows[0] == (DAY + timedelta(4), [2048, 1024])


def test_the_quota_is_shown_when_it_is_near() -> None:
    days = [(DAY, {"a": 1000}), (DAY + timedelta(1), {"a": 3000})]
    near, far = charts.stack(days, 4000), charts.stack(days, 10**9)
    assert near is not None
    assert far is not None
    assert near.limit_y == round(200 * (1 - 4000 / 4096), 1)
    assert far.limit_y is None


def test_what_is_named_last_lies_on_top() -> None:
    chart = charts.stack([(DAY, {"rest": 9, "a": 1}), (DAY + timedelta(1), {"rest": 9, "a": 1})], last="rest")
    assert chart is not None
    assert [area.name for area in chart.areas] == ["a", "rest"]


def test_many_names_become_few_and_nothing_is_lost() -> None:
    found = {f"config {number}": number * 100 for number in range(1, 21)}
    chart = charts.stack([(DAY, found), (DAY + timedelta(1), found)])
    assert chart is not None
    assert [area.name for area in chart.areas] == [*(f"config {n}" for n in range(20, 15, -1)), "Others"]
    assert sum(area.latest for area in chart.areas) == sum(found.values())
    assert sum(chart.rows[0][1]) == sum(found.values())


def test_as_many_names_as_colours_need_no_others() -> None:
    for number in (charts.MOST_AREAS - 1, charts.MOST_AREAS):
        found = {f"config {n}": 100 for n in range(number)}
        chart = charts.stack([(DAY, found), (DAY + timedelta(1), found)])
        assert chart is not None
        assert [area.name for area in chart.areas] == sorted(found)


def test_a_long_time_keeps_a_short_table_that_ends_with_the_last_day() -> None:
    chart = charts.stack([(DAY + timedelta(number), {"a": number}) for number in range(365)])
    assert chart is not None
    assert len(chart.rows) <= 31
    assert chart.rows[0][0] == DAY + timedelta(364)
