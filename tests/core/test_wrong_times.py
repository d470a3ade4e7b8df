"""A time that cannot be true removes nothing, hides nothing and holds nothing up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core import alerts, app_state, cleanup, jobs, nodes, points, retention
from core.db import utc_now, write
from core.models import Copy, Job, Node, Point
from core.retention import Rule
from repository import locks
from tests.core.making import back_up, make_config, make_storage, make_tree, run

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture
def config_id(tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a config with a point of a full read, taken under a clock years ahead."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    make_storage(tmp_path)
    config_id = make_config(make_tree(tmp_path / "tree"), retention={"days": 5, "max_backups": 3}).id
    back_up(config_id)
    with write() as session:
        session.scalars(select(Point)).one().taken_at = utc_now() + timedelta(days=3000)
    return config_id


def clean(config_id: str | None) -> None:
    """Run retention once."""
    assert run(jobs.create_retention("manual", config_id)).status == "completed"


def test_a_point_from_the_future_puts_no_other_into_the_trash(config_id: str) -> None:
    for _ in range(2):
        back_up(config_id)
        clean(config_id)
    assert len(points.good_points(config_id)) == 3
    (alert,) = [each for each in alerts.list_open() if each.subject == f"future:{config_id}"]
    assert "dated in the future" in alert.what


def test_it_is_not_the_last_good_one_nor_the_last_full_read_nor_a_parent(config_id: str) -> None:
    assert points.latest(config_id) is None
    back_up(config_id)
    latest = points.latest(config_id)
    assert latest is not None
    assert latest.taken_at <= utc_now()
    assert latest.full_read
    back_up(config_id)
    newest = points.latest(config_id)
    assert newest is not None
    assert newest.parent_snapshot == latest.copies[0].snapshot_id


def test_its_alert_is_resolved_when_its_time_has_come(config_id: str) -> None:
    clean(config_id)
    assert alerts.is_open(f"future:{config_id}")
    with write() as session:
        session.scalars(select(Point)).one().taken_at = utc_now()
    clean(config_id)
    assert not alerts.is_open(f"future:{config_id}")


def test_the_trash_gives_a_point_back_while_only_one_from_the_future_is_left(config_id: str) -> None:
    back_up(config_id)
    with write() as session:
        newest = session.scalars(select(Copy).order_by(Copy.id.desc())).first()
        assert newest is not None
        newest.trashed_at = utc_now()
    clean(config_id)
    assert points.latest(config_id) is not None


def test_the_point_made_last_is_kept_though_the_clock_was_set_back() -> None:
    made = [Point(id=1, taken_at=NOW), Point(id=2, taken_at=NOW - timedelta(days=900))]
    decisions = retention.decide(made, Rule(days=5, max_backups=1), NOW)
    assert [(each.keep, each.reason) for each in decisions] == [
        (True, "the last good point is always kept"),
        (True, "the point made last is always kept"),
    ]


@pytest.mark.parametrize(("hours", "counts"), [(23, True), (25, False)])
def test_a_clock_a_little_ahead_is_believed(hours: int, counts: bool) -> None:
    ahead = Point(id=2, taken_at=NOW + timedelta(hours=hours))
    older = Point(id=1, taken_at=NOW - timedelta(days=5))
    decisions = retention.decide([ahead, older], Rule(days=5, max_backups=None), NOW)
    assert [each.keep for each in decisions] == [True, not counts]


@pytest.mark.parametrize("column", ["not_before", "enqueued_at", "created_at"])
def test_a_job_does_not_wait_for_a_time_that_a_wrong_clock_wrote(config_id: str, column: str) -> None:
    job_id = jobs.create_backup(config_id, "manual").id
    with write() as session:
        setattr(session.get_one(Job, job_id), column, utc_now() + timedelta(days=300))
    assert job_id in jobs.to_enqueue(utc_now() + timedelta(seconds=61))
    assert jobs.get(job_id).not_before is None


def test_a_job_that_was_put_off_for_a_minute_waits(config_id: str) -> None:
    job_id = jobs.create_backup(config_id, "manual").id
    with write() as session:
        session.get_one(Job, job_id).not_before = utc_now() + timedelta(minutes=1)
    assert job_id not in jobs.to_enqueue()


def test_the_daily_clean_up_does_not_wait_for_one_made_in_the_future(config_id: str) -> None:
    first = cleanup.create_daily()
    assert first is not None
    assert run(first).status == "completed"
    with write() as session:
        session.get_one(Job, first.id).created_at = utc_now() + timedelta(days=300)
    assert cleanup.create_daily() is not None


@pytest.mark.parametrize(("seconds", "lives"), [(-40, False), (-5, True), (5, True), (3600, False)])
def test_a_worker_does_not_live_by_a_time_to_come(context: object, seconds: int, lives: bool) -> None:
    nodes.beat("worker")
    with write() as session:
        session.get_one(Node, app_state.node_id()).worker_seen_at = utc_now() + timedelta(seconds=seconds)
    assert nodes.worker_lives() is lives
