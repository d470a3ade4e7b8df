"""Pins: points that a person wants to keep, and why. No rule removes them from where they are."""

from __future__ import annotations

from typing import NoReturn

from sqlalchemy.orm import Session

from core.db import utc_now, write
from core.errors import Invalid, NotFound, Refused
from core.models import Point
from core.points import points

LONGEST_NOTE = 200


def pin(point_id: int, note: str, by: str) -> Point:
    """Keep a point wherever it counts, whatever the rules say. `by`: a person's name.

    Raises NotFound, Invalid for a note that is none, Refused if it counts nowhere.
    """
    text = check_note(note)
    with write() as session:
        point = _get(session, point_id)
        if not points.is_good(point):
            _refuse(point)
        point.pinned_at, point.pinned_by, point.pin_note = utc_now(), by, text
        return point


def unpin(point_id: int) -> Point:
    """Let the rules decide about a point again. Raises NotFound."""
    with write() as session:
        point = _get(session, point_id)
        point.pinned_at, point.pinned_by, point.pin_note = None, "", ""
        return point


def check_note(note: str) -> str:
    """Return a note on one line. Raises Invalid."""
    text = " ".join(note.split())
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise Invalid({"note": f"A note has at most {LONGEST_NOTE} visible characters."})
    return text


def _refuse(point: Point) -> NoReturn:
    if any(points.is_in_trash(copy) for copy in point.copies):
        raise Refused(f"Point {point.id} is in the trash.", "Take it out: then it is pinned, too.")
    raise Refused(f"The data of point {point.id} cannot be read any more, so there is nothing to keep.")


def _get(session: Session, point_id: int) -> Point:
    point = session.get(Point, point_id)
    if point is None:
        raise NotFound(f"There is no point {point_id}.")
    return point
