"""Which points count, which is the newest, which copy is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core.db import utc_now, write
from core.errors import NotFound
from core.models import Copy, Point, RepositoryRecord, Storage
from core.points import points
from tests.core.making import back_up, make_config, make_storage, make_tree


@pytest.fixture
def config_id(context: Flask, tmp_path: Path) -> str:
    """Return the id of a config with two points."""
    make_storage(tmp_path)
    config_id = make_config(make_tree(tmp_path / "tree")).id
    back_up(config_id)
    back_up(config_id)
    return config_id


def mark(point_id: int, **values: object) -> None:
    """Change the copies of a point."""
    with write() as session:
        for copy in session.scalars(select(Copy).where(Copy.point_id == point_id)):
            for name, value in values.items():
                setattr(copy, name, value)


def test_the_newest_good_point_is_the_latest(config_id: str) -> None:
    newest, older = points.list_for(config_id)
    assert newest.taken_at > older.taken_at
    latest = points.latest(config_id)
    assert latest is not None
    assert latest.id == newest.id
    mark(newest.id, trashed_at=utc_now())
    latest = points.latest(config_id)
    assert latest is not None
    assert latest.id == older.id


@pytest.mark.parametrize(("column", "listed"), [("trashed_at", 2), ("forgotten_at", 1), ("lost_at", 1)])
def test_a_point_without_a_live_copy_is_not_good(config_id: str, column: str, listed: int) -> None:
    newest = points.list_for(config_id)[0]
    mark(newest.id, **{column: utc_now()})
    assert not points.is_good(points.get(newest.id))
    assert len(points.good_points(config_id)) == 1
    assert len(points.list_for(config_id)) == listed
    assert points.list_page(config_id=config_id).total == listed


def test_a_live_copy_on_a_storage_that_answers_is_read(config_id: str) -> None:
    newest = points.list_for(config_id)[0]
    with write() as session:
        storage = Storage(name="Away", provider="local", settings={"path": "/away"}, marker_id="0" * 64)
        storage.unreachable_since = utc_now()
        record = RepositoryRecord(storage=storage, repository_id="0" * 64, password_sealed="")
        session.add(record)
        session.flush()
        session.add(Copy(point_id=newest.id, repository_id=record.id, snapshot_id="1" * 64))
    point = points.get(newest.id)
    assert points.best_copy(point).snapshot_id != "1" * 64
    with write() as session:
        session.get_one(Storage, storage.id).unreachable_since = None
    mark_first = points.get(newest.id).copies[0].id
    with write() as session:
        session.get_one(Copy, mark_first).trashed_at = utc_now()
    assert points.best_copy(points.get(newest.id)).snapshot_id == "1" * 64


def test_a_point_whose_data_is_gone_says_why(config_id: str) -> None:
    newest, older = points.list_for(config_id)
    mark(newest.id, lost_at=utc_now())
    with pytest.raises(NotFound, match="removed by another program"):
        points.best_copy(points.get(newest.id))
    mark(older.id, forgotten_at=utc_now())
    with pytest.raises(NotFound, match="retention removed it"):
        points.best_copy(points.get(older.id))


def test_a_point_is_found_by_number_and_by_snapshot_id(config_id: str) -> None:
    newest = points.list_for(config_id)[0]
    snapshot_id = newest.copies[0].snapshot_id
    assert points.find(str(newest.id)).id == newest.id
    assert points.find(snapshot_id).id == newest.id
    assert points.find(snapshot_id[:9] + snapshot_id[9:12]).id == newest.id
    for wanted in ("9999", "", "zzzz", "%%%%", "_____", "-1"):
        with pytest.raises(NotFound):
            points.find(wanted)


def test_points_of_no_config_are_listed_apart(config_id: str) -> None:
    newest = points.list_for(config_id)[0]
    with write() as session:
        session.get_one(Point, newest.id).config_id = None
    assert [point.id for point in points.list_for(None)] == [newest.id]
