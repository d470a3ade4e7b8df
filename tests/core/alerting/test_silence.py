"""What should have happened and did not is told, once, and resolved when it happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core import app_state
from core.alerting import alerts, silence
from core.configs import configs
from core.db import db, utc_now, write
from core.errors import Invalid
from core.jobs import jobs, nodes
from core.models import Alert, Config, Copy, Job, JobLog, Node, Point, ScheduledRun
from core.points import opened, points
from core.reports import housekeeping
from core.retention import compliance, standings
from core.schedules import pause
from repository import locks
from tests.core import making
from tests.core.making import make_config, make_storage, make_tree, run


@pytest.fixture(autouse=True)
def nothing_noticed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    silence._noticed.clear()
    yield
    silence._noticed.clear()


def back_up(config_id: str) -> None:
    """Make a point, and nothing of what follows from it."""
    making.back_up(config_id)
    for job_id in jobs.queued_followers(config_id):
        jobs.request_cancel(job_id)


@pytest.fixture
def config_id(context: Flask, tmp_path: Path) -> str:
    """Return the id of a daily config with one point, a moment old."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"), "Wiki", cron="0 2 * * *", timezone="UTC").id
    back_up(made)
    run(jobs.create_retention("schedule"))
    nodes.beat("worker")
    nodes.beat("tick")
    return made


def a_full_look(hours: float) -> datetime:
    """Return a time so many hours from now at which all is looked at."""
    moment = utc_now() + timedelta(hours=hours)
    return moment.replace(minute=0)


def watch(hours: float, awake_h: float) -> list[str]:
    """Watch with the clock so many hours ahead, awake for so long; return the open alerts' subjects."""
    moment = a_full_look(hours)
    _beat(moment)
    silence.watch(moment, awake_h * 3600)
    return sorted(alert.subject.partition(":")[0] for alert in alerts.list_open())


def _beat(moment: datetime) -> None:
    with write() as session:
        for node in session.scalars(select(Node)):
            node.worker_seen_at = node.tick_seen_at = moment


def test_all_is_quiet_while_all_goes_on(config_id: str) -> None:
    assert watch(0, 0) == watch(20, 20) == []


def test_a_dead_worker_is_told_after_five_minutes(config_id: str) -> None:
    now = utc_now()
    silence.watch(now + timedelta(minutes=6), 0.0)
    silence.watch(now + timedelta(minutes=10), 299.0)
    assert alerts.list_open() == []
    for awake_s in (300.0, 360.0):
        silence.watch(now + timedelta(minutes=11), awake_s)
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.severity, alert.count) == ("worker", "error", 1)
    nodes.beat("worker")
    silence.watch(utc_now(), 420.0)
    assert alerts.list_open() == []


def test_a_dead_tick_is_told_by_the_worker(config_id: str) -> None:
    assert not silence.watch_tick()
    later = utc_now() + timedelta(minutes=6)
    assert silence.watch_tick(later)
    assert silence.watch_tick(later)
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.count) == ("tick", 1)
    nodes.beat("tick")
    assert not silence.watch_tick()
    assert alerts.list_open() == []


def test_a_job_that_nothing_begins_is_told(config_id: str) -> None:
    job_id = jobs.create_backup(config_id, "manual").id
    silence.watch(utc_now() + timedelta(minutes=1), 0.0)
    assert alerts.list_open() == []
    _beat(utc_now() + timedelta(minutes=61))
    silence.watch(utc_now() + timedelta(minutes=61), 60.0)
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.job_id) == ("queued", job_id)
    jobs.request_cancel(job_id)
    silence.watch(utc_now() + timedelta(minutes=1), 120.0)
    assert alerts.list_open() == []


def test_a_config_without_a_new_point_is_late_whatever_the_reason(config_id: str) -> None:
    assert watch(27, 0) == []  # a machine that was off: what is due is being done
    assert watch(28, 1) == ["late"]
    (alert,) = alerts.list_open()
    assert "Wiki has no point newer than" in alert.what
    assert "its objective is 25 hours" in alert.what
    back_up(config_id)
    assert watch(2, 3) == []


def test_a_pause_is_no_silence(config_id: str) -> None:
    pause.begin(None, "anna")
    assert watch(70, 0) == watch(72, 5) == []


def test_how_retention_stands_is_looked_at_while_all_is_paused(
    config_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "FEW", 0)
    pause.begin(None, "anna")
    moment = a_full_look(70)
    silence.watch(moment, 0)
    assert standings.of_all(configs.list_all()).at == moment


def test_one_that_runs_only_by_hand_is_never_late(config_id: str) -> None:
    with write() as session:
        session.get_one(Config, config_id).cron = ""
    assert watch(40, 0) == watch(42, 2) == []


def test_a_retention_that_does_not_run_is_told(config_id: str) -> None:
    with write() as session:
        session.get_one(Config, config_id).cron = ""
    watch(50, 0)
    assert watch(52, 2) == ["retention"]
    run(jobs.create_retention("schedule"))
    assert watch(1, 3) == []


def test_a_retention_that_removes_nothing_it_should_is_told(config_id: str) -> None:
    """As a retention would that has a fault: it ends well, and all points are still there."""
    for _ in range(2):
        back_up(config_id)
    with write() as session:
        config = session.get_one(Config, config_id)
        config.retention, config.cron = {"days": None, "max_backups": 2}, ""
        job = jobs.add_job(session, kind="retention", trigger="schedule")
        job.status, job.started_at = "completed", utc_now() + timedelta(seconds=1)
        job.ended_at = job.started_at
    (found,) = compliance.of(configs.get(config_id))
    assert (len(found.overdue), found.complies, standings.of_all(configs.list_all()).share) == (1, False, 0.0)
    assert watch(1, 0) == []
    assert watch(3, 2) == ["unkept"]
    assert "did not remove what it should have" in alerts.list_open()[0].what
    run(jobs.create_retention("manual", config_id))
    assert compliance.of(configs.get(config_id))[0].complies
    assert watch(3, 3) == []


def test_a_trash_that_is_not_emptied_is_told(config_id: str) -> None:
    back_up(config_id)
    with write() as session:
        copy = session.scalar(select(Copy).order_by(Copy.id).limit(1))
        assert copy is not None
        copy.trashed_at = utc_now() - timedelta(days=10)
        session.get_one(Config, config_id).cron = ""
    watch(1, 0)
    assert watch(3, 2) == ["unkept"]
    assert "should have left the trash" in alerts.list_open()[0].what


def test_a_repository_without_its_key_is_told(config_id: str, tmp_path: Path) -> None:
    keys = tmp_path / "backups" / "repository" / "keys"
    for path in keys.iterdir():
        path.unlink()
    opened.forget_all()
    job = making.back_up(config_id)
    assert job.status == "failed", job.summary
    (alert,) = alerts.list_open(config_id=config_id)
    assert (alert.kind, alert.severity) == ("failure", "error")


# --- housekeeping -----------------------------------------------------------------------------------------


def count(model: type[Job] | type[JobLog] | type[Alert] | type[ScheduledRun] | type[Point]) -> int:
    db.session.rollback()
    return len(db.session.scalars(select(model)).all())


def test_old_records_go_and_what_is_needed_stays(config_id: str) -> None:
    for _ in range(3):
        back_up(config_id)
    for _ in range(3):
        run(jobs.create_retention("manual", config_id))
    with write() as session:
        for number in range(4):
            session.add(ScheduledRun(config_id=config_id, due_at=utc_now() - timedelta(days=number)))
    alerts.raise_alert("a", "failure", "error", "It broke.", "", "")
    alerts.resolve("a")
    alerts.raise_alert("b", "failure", "error", "It is broken.", "", "")
    before = (count(Job), count(JobLog))
    assert sum(housekeeping.sweep(utc_now() + timedelta(days=80)).values()) == 0
    removed = housekeeping.sweep(utc_now() + timedelta(days=500))
    assert removed["alerts"] == 1
    assert removed["runs"] == 3
    assert removed["log lines"] == before[1]
    assert count(ScheduledRun) == 1  # by it is told what is due next
    assert count(Point) == 4
    kinds = [job.kind for job in db.session.scalars(select(Job).where(Job.status == "completed"))]
    assert kinds.count("backup") == 4  # each made a point that is there
    assert kinds.count("retention") == 2  # the newest for all, and for the config
    assert housekeeping.state().removed == removed


def test_points_that_nobody_keeps_go_with_their_jobs(config_id: str) -> None:
    back_up(config_id)
    oldest = points.list_for(config_id)[-1]
    point_id, old = oldest.id, utc_now() - timedelta(days=1)
    with write() as session:
        session.get_one(Point, point_id).created_at = old
        session.get_one(Copy, oldest.copies[0].id).forgotten_at = old
    assert housekeeping.sweep(utc_now() + timedelta(days=398))["points"] == 0
    removed = housekeeping.sweep(utc_now() + timedelta(days=401))
    assert removed["points"] == 1
    assert removed["jobs"] >= 1
    assert db.session.get(Point, point_id) is None


def test_lines_that_say_what_a_point_lacks_stay_with_it(config_id: str) -> None:
    job_id = jobs.list_jobs(kind="backup").items[0].id
    with write() as session:
        session.add(JobLog(job_id=job_id, level="warning", message="cannot be read", path="/x"))
    housekeeping.sweep(utc_now() + timedelta(days=100))
    assert [line.level for line in jobs.log_lines(job_id).items] == ["warning"]


def test_it_sweeps_once_a_day(config_id: str) -> None:
    now = utc_now()
    housekeeping.sweep_daily(now)
    first = housekeeping.state().swept_at
    housekeeping.sweep_daily(now + timedelta(hours=23))
    assert housekeeping.state().swept_at == first == now
    housekeeping.sweep_daily(now + timedelta(hours=24))
    assert housekeeping.state().swept_at == now + timedelta(hours=24)


def test_ages_are_checked_and_the_state_is_measured(config_id: str) -> None:
    assert housekeeping.change({"logs": 30, "jobs": 100, "alerts": 60}).logs == 30
    assert housekeeping.ages().jobs == 100
    with pytest.raises(Invalid):
        housekeeping.change({"logs": 1})
    state = housekeeping.state()
    assert state.files["database"] > 10_000
    assert state.rows["jobs"] == count(Job)
    assert app_state.settings().data_dir
