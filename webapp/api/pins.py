"""Calls about pins: points that no rule removes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from core.points import points
from core.retention import pins
from webapp.access import access
from webapp.api import door, point_shape
from webapp.api.door import Body
from webapp.api.point_shape import PointOut


class Pin(BaseModel):
    """Why it is kept."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    note: str = Field(default="", max_length=pins.LONGEST_NOTE)


@door.operation(
    "POST", "/backup/points/<int:point_id>/pin", "operator", body=Body(Pin, optional=True), answer=PointOut,
    also=(409,),
)  # fmt: skip
def pin_point(point_id: int, body: Pin) -> PointOut:
    """Keep a point whatever the rules say. Refused for one that is in the trash, or cannot be read."""
    return point_shape.point(pins.pin(point_id, body.note, access.user().name))


@door.operation("DELETE", "/backup/points/<int:point_id>/pin", "admin")
def unpin_point(point_id: int) -> None:
    """Let the rules decide about a point again."""
    pins.unpin(points.get(point_id).id)
