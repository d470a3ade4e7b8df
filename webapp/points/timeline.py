"""Points on a time axis, as numbers for an SVG: places in percent, radius by what was added."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.db import utc_now
from core.models import Point
from core.points import points
from webapp import formats

RANGES = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("all", "All"))
_MARGIN = 2.5  # percent left free on both sides, so that a dot at an end is whole
_SMALLEST, _LARGEST = 5.0, 11.0
_TICKS = 5
_PLACES = 240  # dots beside one another; more could be neither told apart nor hit


@dataclass(frozen=True, slots=True)
class Dot:
    """One point on the axis. `kind`: good, warning or trashed."""

    point: Point
    x: float
    radius: float
    kind: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The axis: dots oldest first, and dates below it."""

    dots: list[Dot]
    ticks: list[tuple[float, str]]
    chosen: str


def draw(found: Sequence[Point], chosen: str, now: datetime | None = None) -> Timeline:
    """Place the points that lie in the range; a range that is none counts as 30 days."""
    now = now or utc_now()
    if chosen not in dict(RANGES):
        chosen = "30"
    oldest = min((point.taken_at for point in found), default=now)
    start = min(oldest, now - timedelta(days=1)) if chosen == "all" else now - timedelta(days=int(chosen))
    shown = sorted((point for point in found if point.taken_at >= start), key=lambda point: point.taken_at)
    most = max((point.bytes_added for point in shown), default=0)
    shown = _thinned(shown, start, now)
    dots = [
        Dot(one, _place(one.taken_at, start, now), _radius(one.bytes_added, most), _kind(one))
        for one in shown
    ]
    return Timeline(dots, _ticks(start, now), chosen)


def _thinned(shown: list[Point], start: datetime, end: datetime) -> list[Point]:
    """Of a crowd, leave one point where many would stand on one another, the newest; the list has all."""
    if len(shown) <= _PLACES:
        return shown
    places = {int((point.taken_at - start) / (end - start) * _PLACES): point for point in shown}
    return list(places.values())


def _place(moment: datetime, start: datetime, end: datetime) -> float:
    share = (moment - start) / (end - start)
    return round(_MARGIN + min(1.0, max(0.0, share)) * (100 - 2 * _MARGIN), 2)


def _radius(added: int, most: int) -> float:
    share = math.sqrt(added / most) if most else 0.0
    return round(_SMALLEST + share * (_LARGEST - _SMALLEST), 1)


def _kind(point: Point) -> str:
    if not points.is_good(point):
        return "trashed"
    return "warning" if point.warnings else "good"


def _ticks(start: datetime, end: datetime) -> list[tuple[float, str]]:
    step = (end - start) / (_TICKS - 1)
    moments = [start + step * number for number in range(_TICKS)]
    return [(_place(moment, start, end), formats.day(moment)) for moment in moments]
