"""Alarms about slow runs, the recovery key and full disks: raised once, and resolved by themselves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts, disk_watch, recovery_reminder, slow_runs
from core.db import utc_now, write
from core.models import Alert, Config, Job, Point
from core.storages import recovery
from tests.core.making import make_config, make_storage, make_tree


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    make_storage(tmp_path)
    return make_config(make_tree(tmp_path / "tree"), "Wiki")


def ran(config_id: str, minutes: float, *, full: bool = False, running: bool = False) -> int:
    """Add a backup that took so long."""
    now = utc_now()
    with write() as session:
        job = Job(kind="backup", trigger="schedule", config_id=config_id, parameters={}, counts={})
        job.status = "running" if running else "completed"
        job.started_at, job.ended_at = now - timedelta(minutes=minutes), None if running else now
        session.add(job)
        session.flush()
        if not running:
            session.add(
                Point(config_id=config_id, job_id=job.id, taken_at=now, tree="", full_read=full, paths={})
            )
        return job.id


def the_alert(kind: str) -> Alert | None:
    """Return the open alert of a kind."""
    return next((alert for alert in alerts.list_open() if alert.kind == kind), None)


def test_a_slow_run_is_told_and_the_next_usual_one_resolves_it(config: Config) -> None:
    config_id = config.id
    for _ in range(5):
        ran(config_id, 10)
    slow_runs.watch()
    assert the_alert("slow") is None
    job_id = ran(config_id, 45)
    slow_runs.watch()
    slow_runs.watch()
    alert = the_alert("slow")
    assert alert is not None
    assert (alert.job_id, alert.count) == (job_id, 1)
    assert "took 45 minutes; usually it takes 10 minutes" in alert.what
    ran(config_id, 11)
    slow_runs.watch()
    assert the_alert("slow") is None


def test_one_that_runs_too_long_is_told_before_it_ends(config: Config) -> None:
    config_id = config.id
    for _ in range(5):
        ran(config_id, 10)
    ran(config_id, 25, running=True)
    slow_runs.watch()
    assert the_alert("slow") is None, "not three times as long yet"
    slow_runs.watch(utc_now() + timedelta(minutes=10))
    alert = the_alert("slow")
    assert alert is not None
    assert "has been running for 35 minutes" in alert.what


def test_short_runs_few_runs_and_full_reads_alarm_nobody(config: Config) -> None:
    config_id = config.id
    for _ in range(4):
        ran(config_id, 10)
    ran(config_id, 300)
    slow_runs.watch()
    assert the_alert("slow") is None, "four are no history"
    ran(config_id, 200, full=True)
    slow_runs.watch()
    assert the_alert("slow") is None, "the first that reads everything"


def test_a_recovery_key_that_nobody_confirmed_is_told_after_a_day(config: Config) -> None:
    now = utc_now()
    recovery_reminder.watch(now)
    assert the_alert("recovery") is None
    for hours, severity in ((25, "warning"), (26, "warning"), (24 * 8, "error"), (24 * 9, "error")):
        recovery_reminder.watch(now + timedelta(hours=hours))
        alert = the_alert("recovery")
        assert alert is not None
        assert alert.severity == severity
    assert alert.count == 2
    key = (recovery.stored() or "").split("-")
    recovery.confirm([key[place - 1] for place in recovery.challenge()])
    recovery_reminder.watch(now + timedelta(days=10))
    assert the_alert("recovery") is None


def test_a_full_disk_is_told_until_there_is_room(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_watch, "FULL_BYTES", 1 << 62)  # as if nothing were left
    disk_watch.watch()
    disk_watch.watch()
    told = {alert.subject.partition(":")[2]: alert for alert in alerts.list_open() if alert.kind == "disk"}
    assert set(told) == {"data", config.destinations[0].repository.storage_id}
    assert {(alert.severity, alert.count) for alert in told.values()} == {("error", 1)}
    monkeypatch.setattr(disk_watch, "FULL_BYTES", 0)
    monkeypatch.setattr(disk_watch, "FULL_SHARE", 0.0)
    monkeypatch.setattr(disk_watch, "WARN_BYTES", 0)
    disk_watch.watch()
    assert the_alert("disk") is None


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (100, 1000, ""),
        (19, 1000, "warning"),
        (30, 400, ""),
        (15, 200, ""),
        (0.4, 4, "error"),
        (4, 1000, "error"),
    ],
)
def test_how_full_is_full(free: float, total: int, severity: str) -> None:
    assert disk_watch.severity_of(int(free * disk_watch.GIB), total * disk_watch.GIB) == severity
