"""Calls about the trash: list, and put back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from core.models import Copy
from core.retention import trash_contents
from webapp.access import access
from webapp.api import answers, door, point_shape, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body
from webapp.api.point_shape import PointOut

MOST_AT_ONCE = 200


class TrashOut(Out):
    """A copy in the trash. `goesAt`: from then on a clean-up may remove it."""

    copy_id: int
    point_id: int
    config_id: str | None
    config_name: str | None
    taken_at: datetime
    storage_id: str
    storage_name: str
    snapshot: str
    trashed_at: datetime
    goes_at: datetime
    reason: str


class Chosen(BaseModel):
    """Which points."""

    model_config = ConfigDict(extra="forbid")

    points: list[queries.RowId] = Field(min_length=1, max_length=MOST_AT_ONCE)


class TakenOut(Out):
    """What counts again."""

    points: list[PointOut]


@door.operation("GET", "/backup/trash", "viewer", query=queries.ByConfig, answer=ListOut[TrashOut])
def list_trash(query: queries.ByConfig) -> Any:
    """List what is in the trash; what came last stands first."""
    found = trash_contents.contents(query.config, page=query.page, per_page=query.per_page)
    return answers.page(found, _given)


@door.operation("POST", "/backup/trash/take-out", "operator", body=Body(Chosen), answer=TakenOut, also=(409,))
def take_out_of_trash(body: Chosen) -> TakenOut:
    """Let all copies of points count again; they are pinned, so that no rule puts them back.

    All or none: refused if one of them is not in the trash.
    """
    found = trash_contents.take_out_points(set(body.points), access.user().name)
    return TakenOut(points=[point_shape.point(each) for each in found])


def _given(row: Copy) -> TrashOut:
    point, storage = row.point, row.repository.storage
    assert row.trashed_at is not None  # the list is of what is in the trash
    return TrashOut(
        copy_id=row.id, point_id=row.point_id, config_id=point.config_id,
        config_name=point.config.name if point.config else None, taken_at=point.taken_at,
        storage_id=storage.id, storage_name=storage.name, snapshot=row.snapshot_id,
        trashed_at=row.trashed_at, goes_at=trash_contents.goes_at(row), reason=row.trash_reason,
    )  # fmt: skip
