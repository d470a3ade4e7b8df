"""Whether a destination complies is judged by what should have left long ago, not by jobs that look busy."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from core import instance
from core.configs import configs
from core.db import utc_now, write
from core.jobs import jobs
from core.models import Config, Point
from core.points import points
from core.points.adoption import add_copy
from core.retention import compliance, standings
from core.storages import recovery, storage_setup, storages
from repository import locks
from tests.core import making
from tests.core.making import make_config, make_storage, make_tree

NOW = utc_now()


@pytest.fixture
def config_id(context: Flask, tmp_path: Path) -> str:
    """Return the id of a config that keeps two points, has five of the last five days, and is old."""
    make_storage(tmp_path)
    config_id = make_config(make_tree(tmp_path / "tree"), retention={"days": None, "max_backups": 2}).id
    (record,) = storages.list_repositories()
    record_id = record.id
    with write() as session:
        session.get_one(Config, config_id).updated_at = NOW - timedelta(days=30)
        for days in reversed(range(5)):
            at = NOW - timedelta(days=days)
            point = Point(config_id=config_id, taken_at=at, created_at=at, hostname="here", tree="")
            session.add(point)
            session.flush()
            add_copy(session, point, record_id, bytes([days]) * 32, 0)
    return config_id


def cleaned(status: str, at: datetime) -> None:
    """Note a clean-up that ended so."""
    with write() as session:
        job = jobs.add_job(session, kind="retention", trigger="schedule")
        job.status, job.created_at, job.started_at, job.ended_at = status, at, at, at


def overdue(config_id: str) -> int:
    """Return how many points should have left; the destination complies if there are none."""
    (found,) = compliance.of(configs.get(config_id), NOW)
    assert found.complies == (not found.overdue)
    assert standings.of_all([configs.get(config_id)], NOW).share == (0.0 if found.overdue else 1.0)
    return len(found.overdue)


def test_clean_ups_that_do_not_happen_are_told_though_backups_go_on(config_id: str) -> None:
    assert overdue(config_id) == 1  # two days ago there were three


def test_one_that_failed_has_a_day_and_not_two(config_id: str) -> None:
    cleaned("failed", NOW - timedelta(hours=1))
    assert overdue(config_id) == 2


def test_an_interrupted_one_counts_as_failed_and_a_cancelled_one_does_not_count(config_id: str) -> None:
    cleaned("interrupted", NOW - timedelta(hours=3))
    cleaned("cancelled", NOW - timedelta(hours=1))
    assert overdue(config_id) == 2


def test_one_that_ended_well_and_left_them_there_is_told_at_once(config_id: str) -> None:
    with write() as session:
        for point in points.list_for(config_id):
            session.get_one(Point, point.id).created_at = NOW - timedelta(hours=2)
    assert overdue(config_id) == 0
    cleaned("completed", NOW - timedelta(hours=1))
    assert overdue(config_id) == 3


def test_a_new_rule_has_its_time_while_clean_ups_go_on(config_id: str) -> None:
    with write() as session:
        session.get_one(Config, config_id).updated_at = NOW - timedelta(hours=1)
    cleaned("completed", NOW - timedelta(hours=2))
    assert overdue(config_id) == 0


def test_changing_the_rule_each_day_hides_no_clean_up_that_never_ends_well(config_id: str) -> None:
    with write() as session:
        session.get_one(Config, config_id).updated_at = NOW - timedelta(hours=1)
    cleaned("completed", NOW - timedelta(days=6))
    cleaned("failed", NOW - timedelta(hours=2))
    assert overdue(config_id) == 2


def test_a_real_clean_up_puts_it_right(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    make_storage(tmp_path)
    config_id = make_config(make_tree(tmp_path / "tree"), retention={"days": None, "max_backups": 1}).id
    for _ in range(2):
        making.back_up(config_id)
    with write() as session:
        for point in points.list_for(config_id):
            session.get_one(Point, point.id).created_at = NOW - timedelta(days=3)
        session.get_one(Config, config_id).updated_at = NOW - timedelta(days=30)
    cleaned("failed", NOW - timedelta(hours=1))
    assert overdue(config_id) == 1
    assert making.run(jobs.create_retention("manual", config_id)).status == "completed"
    assert overdue(config_id) == 0


def test_of_many_points_the_last_look_is_told_with_its_time(
    config_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "FEW", 2)
    every = configs.list_all()
    found = standings.of_all(every, NOW)
    assert (found.at, found.share) == (None, None)
    assert found.by_config[config_id][0].complies is None
    standings.look(every, NOW)
    found = standings.of_all(every, NOW + timedelta(minutes=40))
    assert (found.at, found.share) == (NOW, 0.0)
    assert "should have been removed" in found.by_config[config_id][0].text


def test_a_look_from_before_a_change_of_the_rule_says_nothing_of_the_new_one(
    config_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "FEW", 2)
    standings.look(configs.list_all(), NOW)
    with write() as session:
        session.get_one(Config, config_id).updated_at = NOW + timedelta(minutes=5)
    found = standings.of_all(configs.list_all(), NOW + timedelta(minutes=40))
    assert (found.at, found.share) == (NOW, None)
    assert "since the config was changed" in found.by_config[config_id][0].text
    standings.look(configs.list_all(), NOW + timedelta(hours=1))
    assert standings.of_all(configs.list_all()).by_config[config_id][0].complies is not None


def test_a_new_destination_is_not_told_by_what_was_found_of_a_removed_one(
    config_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has its id: SQLite gives the id of a row that is gone to the next."""
    monkeypatch.setattr(standings, "FEW", 2)
    standings.look(configs.list_all(), NOW)
    disk = storage_setup.create_local("second", str(tmp_path / "second"), recovery.stored() or "")
    with write() as session:
        session.get_one(Config, config_id).destinations[0].repository_id = disk.repositories[0].id
    assert standings.of_all(configs.list_all(), NOW).by_config[config_id][0].complies is None


def test_what_an_older_version_kept_counts_as_not_looked_at(
    config_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "FEW", 2)
    old = {"destination_id": 1, "complies": True, "text": "All is well.", "points": 5}
    instance.put("retention_standings", {"at": NOW.isoformat(), "configs": {config_id: [old]}})
    found = standings.of_all(configs.list_all(), NOW)
    assert (found.share, found.by_config[config_id][0].complies) == (None, None)


def test_a_look_is_due_each_full_hour_and_after_one_that_was_missed(context: Flask) -> None:
    hour = NOW.replace(minute=0)
    assert standings.is_due(hour + timedelta(minutes=7))  # never yet
    standings.look([], hour + timedelta(minutes=7))
    assert not standings.is_due(hour + timedelta(minutes=8))
    assert standings.is_due(hour + timedelta(hours=1))
    assert standings.is_due(hour + timedelta(hours=3, minutes=20))
