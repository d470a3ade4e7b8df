"""A time that cannot be true removes nothing, hides nothing and holds nothing up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core import app_state, clock
from core.alerting import alerts
from core.configs import latest
from core.db import db, utc_now, write
from core.jobs import jobs, nodes
from core.models import Config, Copy, Job, Node, Point, ScheduledRun
from core.points import points
from core.points.reconcile import reconcile
from core.reports import housekeeping
from core.retention import cleanup, retention
from core.retention.retention import Rule
from core.schedules import pause, schedules
from core.storages import storages
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


def clock_ahead(by: timedelta) -> None:
    """Let the clock seem to have been set by so much."""
    now = clock.read()
    clock.accept(clock.Reading(now.wall - by, now.since_boot_s, now.boot_id))


def look() -> None:
    """Hold the rows against what is really there."""
    record = storages.list_repositories()[0]
    repo = storages.open_repository(record)
    reconcile(repo, record)
    repo.close()


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
    found = points.latest(config_id)
    assert found is not None
    assert found.taken_at <= utc_now()
    assert found.full_read
    back_up(config_id)
    newest = points.latest(config_id)
    assert newest is not None
    assert newest.parent_snapshot == found.copies[0].snapshot_id


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


def test_a_backup_that_ended_in_the_future_does_not_hide_what_ended_since(config_id: str) -> None:
    back_up(config_id)
    ahead = jobs.create_backup(config_id, "manual").id
    with write() as session:
        job = session.get_one(Job, ahead)
        job.status, job.ended_at = "completed", utc_now() + timedelta(days=300)
    known = latest.of([db.session.get_one(Config, config_id)], utc_now())[config_id]
    assert known.ended is not None
    assert known.ended.id < ahead
    assert known.good_at is not None
    assert known.good_at <= utc_now()


def test_no_record_is_swept_while_the_clock_is_not_trusted(context: object) -> None:
    clock_ahead(timedelta(days=3))
    housekeeping.sweep_daily(utc_now())
    assert housekeeping.state().swept_at is None
    clock.accept()
    housekeeping.sweep_daily(utc_now())
    assert housekeeping.state().swept_at is not None


def test_a_clock_in_the_past_forgets_no_run(config_id: str) -> None:
    due_at = utc_now() + timedelta(days=20)
    with write() as session:
        session.add(ScheduledRun(config_id=config_id, due_at=due_at))
    clock_ahead(-timedelta(days=30))
    schedules.tick(utc_now())
    assert db.session.scalars(select(ScheduledRun.due_at)).all() == [due_at]
    clock.accept()
    schedules.tick(utc_now())
    assert db.session.scalars(select(ScheduledRun.due_at)).all() == []


def test_a_pause_without_end_holds_under_a_clock_in_the_past(context: object) -> None:
    made = pause.begin(None, "anna")
    past = utc_now() - timedelta(days=30)
    assert pause.active(past) == made
    pause.end()
    assert pause.active(past) is None
    assert pause.active() is None


def test_a_listing_that_lacks_what_is_in_the_trash_loses_nothing_for_good(
    config_id: str, tmp_path: Path
) -> None:
    back_up(config_id)
    snapshots = tmp_path / "backups" / "repository" / "snapshots"
    oldest = points.list_for(config_id)[-1].copies[0]
    copy_id, name = oldest.id, oldest.snapshot_id
    for trashed, forgotten in ((timedelta(days=1), False), (retention.TRASH_FOR, True)):
        with write() as session:
            session.get_one(Copy, copy_id).trashed_at = utc_now() - trashed
        (snapshots / name).rename(snapshots.parent / "away")
        look()
        copy = db.session.get_one(Copy, copy_id)
        assert ((copy.forgotten_at is not None), (copy.lost_at is not None)) == (forgotten, not forgotten)
        (snapshots.parent / "away").rename(snapshots / name)
        look()
        assert points.is_in_trash(db.session.get_one(Copy, copy_id))
