"""Bytes over days as stacked areas: numbers for an SVG, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 1000, 200
# What has a colour of its own; the smallest of more are one area.
MOST_AREAS = 6
_MOST_ROWS = 31
_OTHERS = "Others"

Samples = Sequence[tuple[date, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Area:
    """One layer of the stack. `number` names its colour, from 1; `latest` in bytes; `points` of a polygon."""

    name: str
    number: int
    latest: int
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Layers from the bottom up. `top`: the bytes at the upper edge; `limit_y`: where the quota lies.

    `rows`: days, the newest first, each with the bytes of every layer in the same order.
    """

    areas: list[Area]
    first: date
    last: date
    top: int
    limit_y: float | None
    rows: list[tuple[date, list[int]]]


def stack(samples: Samples, limit: int | None = None, last: str = "") -> Chart | None:
    """Draw samples of named bytes by day, oldest first; None while there are too few days for a line.

    The largest lie at the bottom, what is named `last` on top.
    """
    if len(samples) < 2:
        return None
    names, crowded = _names(samples, last)
    rows = [(day, _layers(found, names, crowded=crowded)) for day, found in samples]
    peak = max(sum(values) for _, values in rows)
    top = _nice(max(peak, limit) if limit and limit < 2 * peak else peak)
    shown = [*names, _OTHERS] if crowded else names
    areas = [
        Area(name, index + 1, rows[-1][1][index], _polygon(rows, index, top))
        for index, name in enumerate(shown)
    ]
    limit_y = round(HEIGHT * (1 - limit / top), 1) if limit and limit <= top else None
    return Chart(areas, rows[0][0], rows[-1][0], top, limit_y, _thinned(rows)[::-1])


def _names(samples: Samples, last: str) -> tuple[list[str], bool]:
    """Return the names that get a layer of their own, the largest first; and whether there are more."""
    largest: dict[str, int] = {}
    for _, found in samples:
        for name, size in found.items():
            largest[name] = max(size, largest.get(name, 0))
    names = sorted(largest, key=lambda name: (name == last, -largest[name], name))
    crowded = len(names) > MOST_AREAS
    return (names[: MOST_AREAS - 1] if crowded else names), crowded


def _layers(found: Mapping[str, int], names: Sequence[str], *, crowded: bool) -> list[int]:
    own = [found.get(name, 0) for name in names]
    return [*own, sum(found.values()) - sum(own)] if crowded else own


def _nice(peak: int) -> int:
    """Return the next larger round size: 1, 2, 4, 8 … of a binary unit."""
    return 1 << max(10, (peak - 1).bit_length()) if peak > 0 else 1024


def _polygon(rows: Sequence[tuple[date, list[int]]], index: int, top: int) -> str:
    first, days = rows[0][0], (rows[-1][0] - rows[0][0]).days or 1
    xs = [round((day - first).days * WIDTH / days, 1) for day, _ in rows]
    above = [_height(sum(values[: index + 1]), top) for _, values in rows]
    below = [_height(sum(values[:index]), top) for _, values in rows]
    edge = [*zip(xs, above, strict=True), *reversed(list(zip(xs, below, strict=True)))]
    return " ".join(f"{x:g},{y:g}" for x, y in edge)


def _height(size: int, top: int) -> float:
    return round(HEIGHT * (1 - size / top), 1)


def _thinned(rows: list[tuple[date, list[int]]]) -> list[tuple[date, list[int]]]:
    """Leave out days so that a table stays readable; the last day always stays."""
    step = -(-len(rows) // _MOST_ROWS)
    return rows[::-1][::step][::-1]
