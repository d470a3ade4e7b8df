"""The tick: due configs, after outages, with clocks that jump, and twice at once."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core import app_state, setup
from core.alerting import alerts
from core.configs import configs
from core.db import db, write
from core.jobs import jobs
from core.models import Config, Job, ScheduledRun
from core.schedules import schedules
from core.settings import Settings
from tests.core.making import back_up, make_config, make_storage, make_tree


def at(text: str) -> datetime:
    """Return a time in UTC from `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    """Return a config that runs every day at 02:00 UTC, looked at since the evening of 2026-05-01."""
    setup.create_first_storage(str(tmp_path / "disk"))
    data = {"name": "Wiki", "source": {"paths": ["/etc"]}, "cron": "0 2 * * *", "timezone": "UTC"}
    made = configs.create(configs.parse(data))
    since(made.id, "2026-05-01 20:00")
    return made


def since(config_id: str, moment: str) -> None:
    """Set from when on due times count."""
    with write() as session:
        session.get_one(Config, config_id).scheduled_since = at(moment)


def end_jobs() -> None:
    """Let all jobs end well."""
    with write() as session:
        for job in session.scalars(select(Job)):
            job.status = "completed"


def rows() -> list[tuple[str, bool]]:
    """Return the noted runs, each with whether it has a job."""
    found = db.session.scalars(select(ScheduledRun).order_by(ScheduledRun.due_at))
    return [(row.due_at.strftime("%d %H:%M"), row.job_id is not None) for row in found]


def test_a_due_config_gets_one_job(config: Config) -> None:
    assert schedules.due(at("2026-05-02 01:59")) == []
    assert schedules.due(at("2026-05-02 02:00")) == [schedules.Due(config.id, at("2026-05-02 02:00"), [])]
    schedules.tick(at("2026-05-02 02:00"))
    schedules.tick(at("2026-05-02 02:01"))
    (job,) = jobs.list_jobs().items
    assert (job.kind, job.trigger, job.config_id, job.due_at) == (
        "backup", "schedule", config.id, at("2026-05-02 02:00"),
    )  # fmt: skip
    assert rows() == [("02 02:00", True)]
    assert alerts.list_open() == []


def test_after_days_of_outage_one_run_makes_up_for_all(config: Config) -> None:
    schedules.tick(at("2026-05-07 12:00"))
    assert rows() == [
        ("02 02:00", False), ("03 02:00", False), ("04 02:00", False),
        ("05 02:00", False), ("06 02:00", False), ("07 02:00", True),
    ]  # fmt: skip
    assert len(jobs.list_jobs().items) == 1
    (alert,) = alerts.list_open()
    assert alert.kind == "missed"
    assert "5 runs" in alert.what
    assert "2026-05-06 02:00" in alert.what
    end_jobs()
    schedules.tick(at("2026-05-08 02:00"))
    assert len(jobs.list_jobs().items) == 2
    assert len(alerts.list_open()) == 1


def test_what_was_missed_is_over_with_the_next_point_and_not_with_an_earlier_one(
    context: Flask, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"), cron="0 2 * * *", timezone="UTC")
    assert back_up(config.id).status == "completed"
    since(config.id, "2026-05-01 20:00")
    schedules.tick(at("2026-05-07 12:00"))
    end_jobs()
    schedules.tick(at("2026-05-07 12:01"))
    assert [alert.kind for alert in alerts.list_open()] == ["missed"]
    assert back_up(config.id).status == "completed"
    schedules.tick(at("2026-05-07 12:02"))
    assert alerts.list_open() == []


def test_a_run_that_is_still_going_on_makes_the_next_one_missed(config: Config) -> None:
    schedules.tick(at("2026-05-02 02:00"))
    schedules.tick(at("2026-05-03 02:00"))
    assert rows() == [("02 02:00", True), ("03 02:00", False)]
    missed = db.session.scalars(select(ScheduledRun).where(ScheduledRun.job_id.is_(None))).one()
    assert "job 1" in missed.missed_reason
    assert len(alerts.list_open()) == 1


@pytest.mark.parametrize("change", ["pause", "delete", "by hand"])
def test_what_is_not_scheduled_is_not_due(config: Config, change: str) -> None:
    if change == "pause":
        configs.set_enabled(config.id, False)
    elif change == "delete":
        configs.delete(config.id)
    else:
        data = configs.to_input(config)
        configs.update(config.id, data.model_copy(update={"cron": ""}))
    schedules.tick(at("2026-05-05 12:00"))
    assert rows() == []


def test_what_was_due_during_a_pause_is_not_caught_up(config: Config) -> None:
    configs.set_enabled(config.id, False)
    configs.set_enabled(config.id, True)
    assert config.scheduled_since is not None
    assert schedules.due(config.scheduled_since + timedelta(seconds=1)) == []


def test_a_clock_set_back_by_minutes_runs_nothing_twice(config: Config) -> None:
    schedules.tick(at("2026-05-02 02:00"))
    end_jobs()
    schedules.tick(at("2026-05-02 01:55"))
    schedules.tick(at("2026-05-02 02:00"))
    assert len(jobs.list_jobs().items) == 1


def test_a_clock_that_was_far_ahead_does_not_stop_the_schedule(config: Config) -> None:
    schedules.tick(at("2027-03-01 12:00"))
    end_jobs()
    schedules.tick(at("2026-05-02 01:00"))
    assert rows() == []
    schedules.tick(at("2026-05-02 02:00"))
    assert rows() == [("02 02:00", True)]


def test_a_config_made_while_the_clock_was_ahead_is_due_again(config: Config) -> None:
    since(config.id, "2030-01-01 00:00")
    schedules.tick(at("2026-05-02 01:00"))
    schedules.tick(at("2026-05-02 02:00"))
    assert rows() == [("02 02:00", True)]


def test_an_outage_of_years_is_told_in_bounds(config: Config) -> None:
    data = configs.to_input(config)
    configs.update(config.id, data.model_copy(update={"cron": "0 * * * *"}))
    since(config.id, "2020-01-01 00:00")
    schedules.tick(at("2026-05-02 02:00"))
    assert len(rows()) == schedules.MOST_MISSED + 1


def test_an_unreadable_schedule_does_not_stop_the_others(config: Config) -> None:
    data = {"name": "Another", "source": {"paths": ["/etc"]}, "cron": "0 2 * * *", "timezone": "UTC"}
    other = configs.create(configs.parse(data))
    since(other.id, "2026-05-01 20:00")
    with write() as session:
        session.get_one(Config, other.id).timezone = "Mars/Olympus"
    schedules.tick(at("2026-05-02 02:00"))
    assert [job.config_id for job in jobs.list_jobs().items] == [config.id]
    (alert,) = alerts.list_open()
    assert alert.config_id == other.id
    assert "Mars/Olympus" in alert.what


def test_jobs_left_in_the_queue_are_returned_again(config: Config) -> None:
    schedules.tick(at("2026-05-02 02:00"))
    (job,) = jobs.list_jobs().items
    jobs.mark_enqueued([job.id])
    assert schedules.tick(job.created_at + timedelta(seconds=30)) == []
    assert job.id in schedules.tick(job.created_at + timedelta(seconds=90))


def _tick_in_process(settings: Settings, gate: object, moment: datetime) -> None:
    app_state.prepare(settings)
    app = Flask("ticker")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    db.init_app(app)
    with app.app_context():
        gate.wait(120)  # type: ignore[attr-defined]
        schedules.tick(moment)


def test_two_processes_that_tick_at_once_make_one_job(config: Config, settings: Settings) -> None:
    start = multiprocessing.get_context("spawn")
    gate = start.Barrier(3)
    moment = at("2026-05-04 02:00")
    tickers = [start.Process(target=_tick_in_process, args=(settings, gate, moment)) for _ in range(2)]
    for ticker in tickers:
        ticker.start()
    gate.wait(120)
    for ticker in tickers:
        ticker.join(120)
    assert [ticker.exitcode for ticker in tickers] == [0, 0]
    assert rows() == [("02 02:00", False), ("03 02:00", False), ("04 02:00", True)]
    assert len(jobs.list_jobs().items) == 1
    assert alerts.list_open()[0].count == 1


def test_many_threads_that_tick_at_once_make_one_job(config: Config, context: Flask) -> None:
    errors: list[Exception] = []

    def tick() -> None:
        try:
            with context.app_context():
                schedules.tick(at("2026-05-02 02:00"))
        except Exception as error:  # noqa: BLE001  (whatever it is, the test must see it)
            errors.append(error)

    threads = [threading.Thread(target=tick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert len(jobs.list_jobs().items) == 1
