"""Every minute: what is due is made and enqueued once, and what was left behind is picked up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts, clock_watch
from core.db import utc_now, write
from core.jobs import jobs
from core.models import Config, Job
from core.retention import cleanup
from jobs import tick
from tests.core.making import back_up, make_config, make_storage, make_tree


@pytest.fixture
def config(install: Flask, tmp_path: Path) -> Config:
    """Return a config that is due each minute, the last three minutes on."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"), cron="* * * * *")
    with write() as session:
        session.get_one(Config, made.id).scheduled_since = utc_now() - timedelta(minutes=3)
    return made


def test_a_due_backup_is_made_once_however_often_it_ticks(config: Config) -> None:
    now = utc_now()
    found = tick.run(now)
    assert len(found) == 1
    jobs.mark_enqueued(found)
    assert tick.run(now) == []
    assert len(jobs.list_jobs(kind="backup").items) == 1


def test_a_row_left_queued_for_a_minute_is_enqueued_again(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    now = utc_now()
    assert tick.run(now) == []
    assert tick.run(now + timedelta(seconds=61)) == [job_id]
    jobs.mark_enqueued([job_id])
    assert tick.run(now + timedelta(seconds=59)) == []
    assert tick.run(now + timedelta(seconds=200)) == [job_id]


def test_retention_is_made_once_a_day(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    assert cleanup.create_daily() is None, "there is no point yet"
    back_up(make_config(make_tree(tmp_path / "tree")).id)
    found = tick.run()
    assert jobs.get(found[0]).kind == "retention"
    jobs.mark_enqueued(found)
    assert tick.run() == []


def test_one_broken_part_does_not_stop_the_others(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> int:
        raise OSError("the clock cannot be read")

    monkeypatch.setattr(clock_watch, "watch", fail)
    assert len(tick.run()) == 1
    assert "the clock cannot be read" in caplog.text


def test_a_job_that_ended_badly_is_told_even_if_its_process_was_killed_before(
    install: Flask, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    with write() as session:
        row = session.get_one(Job, job_id)
        row.status, row.summary, row.ended_at = "failed", "It broke.", utc_now()
    tick.run()
    tick.run()
    (alert,) = alerts.list_open()
    assert (alert.job_id, alert.count) == (job_id, 1)
