"""What depends on a storage is counted by the database as it would be by looking at each point."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.engine import Engine

from core.db import db, utc_now, write
from core.models import Copy, Point, Storage
from core.points import points
from core.storages import storage_uses, storages
from tests.core.backups.test_copying import add_disk, first, make_config
from tests.core.making import make_storage

pytestmark = pytest.mark.usefixtures("context")

NAMES = ("Local disk", "second", "third")
STATES: Mapping[str, tuple[str, ...]] = {
    "live": (),
    "trashed": ("trashed_at",),
    "damaged": ("damaged_at",),
    "forgotten": ("trashed_at", "forgotten_at"),
    "lost": ("lost_at",),
}


@pytest.fixture
def ids(tmp_path: Path) -> dict[str, str]:
    """Make points with copies in each state on each of three storages; return the storages' ids by name."""
    make_storage(tmp_path)
    places = [str(first()["repository_id"]), add_disk(tmp_path, "second"), add_disk(tmp_path, "third")]
    config_id = make_config(tmp_path, [{"repository_id": places[2]}]).id
    combined = list(product([None, *STATES], repeat=len(places)))
    with write() as session:
        for number, (owner, states) in enumerate(product((config_id, None), combined)):
            at = utc_now() - timedelta(minutes=number)
            copies = [
                Copy(repository_id=place, snapshot_id=f"{number:064x}", **dict.fromkeys(STATES[state], at))
                for place, state in zip(places, states, strict=True)
                if state is not None
            ]
            session.add(Point(config_id=owner, taken_at=at, paths={}, tree="", limits={}, copies=copies))
    return {storage.name: storage.id for storage in storages.list_all()}


def told(ids: Mapping[str, str], name: str) -> tuple[int, int, int, int]:
    """Return what is told of a storage: copies, points of configs and of nobody that are only there, and
    those of configs in the trash."""
    uses, alone = storage_uses.uses(ids[name]), storage_uses.alone_on(ids[name])
    return uses.copies, uses.only_copies, alone.foreign, alone.in_trash


def looked(storage_id: str) -> tuple[int, int, int, int]:
    """Return the same by looking at each point."""
    copies = only = foreign = trashed = 0
    for point in db.session.scalars(select(Point)):
        here, away = (
            [copy for copy in point.copies if (copy.repository.storage_id == storage_id) is wanted]
            for wanted in (True, False)
        )
        copies += sum(points.is_live(copy) for copy in here)
        if point.config_id is not None:
            only += any(map(points.is_live, here)) and not any(map(points.is_live, away))
        alone = not any(map(points.is_there, away))
        if alone and point.config_id is None:
            foreign += any(map(points.is_there, here))
        if alone and point.config_id is not None:
            trashed += any(points.is_there(copy) and copy.trashed_at is not None for copy in here)
    return copies, only, foreign, trashed


@pytest.mark.parametrize("name", NAMES)
def test_it_counts_as_by_looking_at_each_point(ids: dict[str, str], name: str) -> None:
    assert told(ids, name) == looked(ids[name])
    assert min(looked(ids[name])) > 0


def test_the_newest_of_the_only_copies_is_named_and_the_config_that_uses_it(ids: dict[str, str]) -> None:
    reasons = storage_uses.why_not_delete(ids["third"])
    assert reasons[0] == "It is a destination of Files."
    assert reasons[1].startswith(
        f"It holds the only copy of {looked(ids['third'])[1]} points; the newest is "
    )
    assert len(storage_uses.why_not_delete(ids["second"])) == 1


def test_storages_out_of_reach_that_hold_all_other_copies_are_named(ids: dict[str, str]) -> None:
    name = "Local disk"
    alone = [
        point.id
        for point in db.session.scalars(select(Point))
        if not any(points.is_live(copy) and copy.repository.storage.name != name for copy in point.copies)
    ]
    with write() as session:
        session.execute(delete(Copy).where(Copy.point_id.in_(alone)))
        session.execute(delete(Point).where(Point.id.in_(alone)))
    assert storage_uses.why_not_delete(ids[name]) == []
    _lose(ids["second"])
    assert storage_uses.why_not_delete(ids[name]) == [_away("second")]
    _lose(ids["third"])
    assert storage_uses.why_not_delete(ids[name]) == [_away("second and third")]


def test_copies_are_counted_without_a_look_at_their_rows(ids: dict[str, str]) -> None:
    """An index that lacks a column would be right as well, and ten times as slow."""
    sent: list[tuple[str, object]] = []
    event.listen(Engine, "before_cursor_execute", note := lambda *given: sent.append((given[2], given[3])))
    try:
        storage_uses.in_short(ids["second"])
        storage_uses.uses(ids["second"])
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    plans = [
        str(row[3])
        for statement, given in sent
        if " copies" in statement
        for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)  # type: ignore[arg-type]
    ]
    about = [plan for plan in plans if "ix_copies" in plan]
    assert about
    assert [plan for plan in about if "USING COVERING INDEX" not in plan] == []


def _lose(storage_id: str) -> None:
    with write() as session:
        session.get_one(Storage, storage_id).unreachable_since = utc_now()


def _away(names: str) -> str:
    return f"It holds points whose other copies are all on {names}, which cannot be reached."
