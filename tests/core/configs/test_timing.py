"""Pausing all, retries, longest durations, stalled jobs, limits: each holds, and ends truthfully."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from core.alerting import alerts, job_alerts, stalled
from core.configs import configs, states
from core.db import db, utc_now, write
from core.errors import Invalid
from core.jobs import attempts, interrupted, job_kinds, jobs, processes
from core.jobs.attempts import TookTooLong
from core.jobs.outcomes import Outcome
from core.models import Config, Job, ScheduledRun
from core.schedules import limits, pause, retries, schedules
from jobs import tick
from repository.progress import Progress
from tests.core.making import back_up, make_config, make_storage, make_tree, run


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def tree(context: Flask, tmp_path: Path) -> Path:
    make_storage(tmp_path)
    return make_tree(tmp_path / "tree")


def daily(tree: Path, name: str = "Wiki", **more: Any) -> str:
    """Make a config that runs daily at 02:00 UTC since the first of May; return its id."""
    config_id = make_config(tree, name, cron="0 2 * * *", timezone="UTC", **more).id
    with write() as session:
        session.get_one(Config, config_id).scheduled_since = at("2026-05-01 03:00")
    return config_id


def backups() -> list[Job]:
    db.session.rollback()
    return list(db.session.scalars(select(Job).where(Job.kind == "backup").order_by(Job.id)))


def end(job: Job, status: str, ended_at: datetime) -> None:
    with write() as session:
        row = session.get_one(Job, job.id)
        row.status, row.ended_at, row.summary = status, ended_at, "It broke."


# --- pausing all ------------------------------------------------------------------------------------------


def test_a_pause_lets_nothing_begin_and_one_run_makes_up_for_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily(tree)
    monkeypatch.setattr(pause, "utc_now", lambda: at("2026-05-01 12:00"))
    pause.begin(at("2026-05-04 12:00"), "anna", "the disk is being\nexchanged")
    for day in (2, 3, 4):
        assert tick.run(at(f"2026-05-0{day} 02:00")) == []
    (made,) = tick.run(at("2026-05-04 12:00"))
    assert jobs.get(made).due_at == at("2026-05-04 02:00")
    assert [run.job_id for run in db.session.scalars(select(ScheduledRun))] == [made]
    assert alerts.list_open() == []


def test_what_was_missed_before_the_pause_is_still_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daily(tree)
    monkeypatch.setattr(pause, "utc_now", lambda: at("2026-05-03 12:00"))
    pause.begin(None, "anna")
    monkeypatch.setattr(pause, "utc_now", lambda: at("2026-05-06 12:00"))
    assert pause.end() is not None
    schedules.tick(at("2026-05-06 12:01"))
    assert "missed 2 runs, the last of them that of 2026-05-03" in alerts.list_open()[0].what


def test_a_pause_is_shown_and_ends(tree: Path) -> None:
    config = configs.get(daily(tree))
    back_up(config.id)
    until = utc_now() + timedelta(hours=3)
    pause.begin(until, "anna", "moving house")
    again = pause.begin(None, "otto")
    held = pause.active()
    assert held is not None
    assert (held.by, held.until, held.since, again.note) == ("otto", None, held.since, "")
    assert states.state(config).word == "Paused"
    assert "all is paused until somebody resumes it" in states.verdict().sentence
    assert pause.end() is not None
    assert pause.end() is None
    assert states.state(config).word != "Paused"


@pytest.mark.parametrize("text", ["yesterday", "2020-01-01 00:00", "2999-01-01 00:00"])
def test_a_time_that_cannot_be_is_refused(context: Flask, text: str) -> None:
    with pytest.raises(Invalid):
        pause.begin(pause.parse_until(text, "Europe/Berlin"), "anna")


def test_a_time_is_meant_on_the_wall_of_the_zone(context: Flask) -> None:
    found = pause.parse_until("2026-11-24 08:00", "Europe/Berlin")
    assert found is not None
    assert found.astimezone(UTC) == at("2026-11-24 07:00")
    assert pause.parse_until(" ", "UTC") is None


# --- retries ----------------------------------------------------------------------------------------------


def test_a_scheduled_run_that_failed_is_tried_again_so_often(tree: Path) -> None:
    config_id = daily(tree, retries={"count": 2, "delay": "15m"})
    (first,) = tick.run(at("2026-05-02 02:00"))
    failed_at = at("2026-05-02 02:05")
    for number in (1, 2):
        end(backups()[-1], "failed", failed_at)
        job_alerts.tell(backups()[-1].id)
        assert alerts.list_open()[0].severity == "warning"
        assert "It is tried again by itself at 2 May 2026" in alerts.list_open()[0].advice
        assert retries.tick(failed_at + timedelta(minutes=14)) == []
        (again,) = retries.tick(failed_at + timedelta(minutes=15))
        assert retries.tick(failed_at + timedelta(minutes=16)) == []
        assert (jobs.get(again).trigger, retries.number_of(jobs.get(again))) == ("retry", number)
        failed_at += timedelta(minutes=16)
    end(backups()[-1], "failed", failed_at)
    job_alerts.tell(backups()[-1].id)
    assert retries.tick(failed_at + timedelta(hours=1)) == []
    assert [(alert.severity, alert.count) for alert in alerts.list_open(config_id=config_id)] == [
        ("error", 3)
    ]
    assert backups()[0].id == first


def test_what_a_person_started_or_cancelled_is_not_tried_again(tree: Path) -> None:
    config_id = daily(tree, retries={"count": 3, "delay": 60})
    end(jobs.create_backup(config_id, "manual"), "failed", at("2026-05-01 12:00"))
    assert retries.tick(at("2026-05-01 13:00")) == []
    tick.run(at("2026-05-02 02:00"))
    end(backups()[-1], "cancelled", at("2026-05-02 02:01"))
    assert retries.tick(at("2026-05-02 03:00")) == []


def test_nothing_is_tried_again_while_all_is_paused(tree: Path) -> None:
    config_id = daily(tree, retries={"count": 1, "delay": 60})
    job = jobs.create_backup(config_id, "schedule")
    now = utc_now()
    end(job, "failed", now)
    pause.begin(None, "anna")
    assert tick.run(now + timedelta(minutes=5)) == []
    pause.end()
    assert len(retries.tick(now + timedelta(minutes=5))) == 1


# --- longest durations ------------------------------------------------------------------------------------


def test_a_backup_that_takes_too_long_is_ended_as_failed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config_id = daily(tree, max_duration="1h")
    job_id = jobs.create_backup(config_id, "manual").id
    attempt = attempts.claim(job_id)
    assert attempt is not None
    began = time.monotonic()
    monkeypatch.setattr(attempts.time, "monotonic", lambda: began + 3601 if attempt.deadline_s else began)
    job_kinds.perform(attempt)
    job = jobs.get(job_id)
    assert (job.status, job.summary) == ("failed", "It was ended after 1h, the longest that it may take.")
    assert alerts.list_open()[0].kind == "failure"


def test_without_a_limit_nothing_ends(context: Flask) -> None:
    attempt = attempts.Attempt(1, 1)
    attempt.end_after(None)
    attempt.check()
    attempt.end_after(0)
    time.sleep(0.001)
    with pytest.raises(TookTooLong):
        attempt.check()


# --- stalled jobs -----------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for one that hangs."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def test_a_job_that_does_not_get_on_is_told_until_it_does(tree: Path) -> None:
    job_id = jobs.create_backup(daily(tree), "manual").id
    attempt = attempts.claim(job_id)
    assert attempt is not None
    attempt.report(Progress("reading", 5, 10, 100, 200, current=b"/mnt/dead/file"))
    attempts.pulse(attempt)
    assert stalled.watch(0.0) == []
    attempts.pulse(attempt)  # it beats, and that is all
    assert stalled.watch(stalled.TELL_AFTER_S - 1.0) == []
    assert stalled.watch(stalled.TELL_AFTER_S + 0.0) == [job_id]
    assert stalled.watch(stalled.TELL_AFTER_S + 60.0) == [job_id]
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.count, "/mnt/dead/file" in alert.what) == ("stalled", 1, True)
    attempt.report(Progress("reading", 6, 10, 150, 200, current=b"/mnt/dead/file"))
    attempts.pulse(attempt)
    assert stalled.watch(stalled.TELL_AFTER_S + 120.0) == []
    assert alerts.list_open() == []
    attempts.finish(attempt, Outcome("completed", "Done."))


def test_one_that_hangs_over_its_longest_duration_is_killed_and_interrupted(
    tree: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    job_id = jobs.create_backup(daily(tree, max_duration="1h"), "manual").id
    assert attempts.claim(job_id) is not None
    with write() as session:
        job = session.get_one(Job, job_id)
        job.pid, job.pid_started = sleeper.pid, processes._started(sleeper.pid) or ""
        job.started_at = utc_now() - timedelta(hours=2)
    stalled.watch(0.0)
    stalled.watch(stalled.KILL_AFTER_S - 1.0)
    assert sleeper.poll() is None
    stalled.watch(stalled.KILL_AFTER_S + 0.0)
    assert sleeper.wait(120) == -signal.SIGKILL
    assert interrupted.mark_interrupted() == [job_id]
    assert jobs.get(job_id).status == "interrupted"


def test_a_process_that_is_not_surely_the_job_is_left_alone(
    tree: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    job_id = jobs.create_backup(daily(tree, max_duration="1h"), "manual").id
    assert attempts.claim(job_id) is not None
    with write() as session:
        job = session.get_one(Job, job_id)
        job.pid, job.started_at = sleeper.pid, utc_now() - timedelta(hours=2)  # started: another's
    stalled.watch(0.0)
    stalled.watch(stalled.KILL_AFTER_S + 1.0)
    assert sleeper.poll() is None
    os.kill(sleeper.pid, 0)


# --- limits -----------------------------------------------------------------------------------------------


def test_no_more_run_at_once_than_may(tree: Path) -> None:
    limits.change({"per_storage": "2", "per_host": ""})
    ids = [jobs.create_backup(daily(tree, f"C{number}"), "manual").id for number in range(3)]
    running = [attempts.claim(job_id) for job_id in ids]
    assert [attempt is not None for attempt in running] == [True, True, False]
    waiting = jobs.get(ids[2])
    assert (waiting.status, waiting.phase) == ("queued", "waiting")
    assert waiting.waiting_reason == "2 jobs use its storage already, as many as may at once"
    assert running[0] is not None
    attempts.finish(running[0], Outcome("completed", "Done."))
    jobs.hasten(ids[2])
    assert not limits.hold_back(ids[2])
    assert run(jobs.get(ids[2])).status == "completed"


def test_a_turn_that_is_waited_for_is_no_hour_in_vain(tree: Path) -> None:
    limits.change({"per_storage": 1})
    first, second = (jobs.create_backup(daily(tree, f"C{number}"), "manual").id for number in range(2))
    waiting = attempts.claim(second)
    assert waiting is not None
    assert attempts.wait_for(waiting, "it is locked")
    with write() as session:
        row = session.get_one(Job, second)
        row.parameters = {**row.parameters, "waiting_since": (utc_now() - timedelta(hours=2)).isoformat()}
        row.not_before = None
    running = attempts.claim(first)
    assert running is not None
    assert limits.hold_back(second)
    attempts.finish(running, Outcome("completed", "Done."))
    jobs.hasten(second)
    again = attempts.claim(second)
    assert again is not None
    assert attempts.wait_for(again, "it is locked"), "its hour begins anew"


def test_a_limit_of_the_host_holds_and_restores_never_wait(tree: Path) -> None:
    limits.change({"per_host": 1})
    first, second = (jobs.create_backup(daily(tree, f"C{number}"), "manual").id for number in range(2))
    assert attempts.claim(first) is not None
    assert limits.hold_back(second)
    assert "this machine" in jobs.get(second).waiting_reason
    assert run(jobs.create_retention("manual")).status == "completed"


@pytest.mark.parametrize("given", [{"per_storage": 0}, {"per_host": "many"}, {"more": 1}])
def test_a_limit_that_is_none_is_refused(context: Flask, given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        limits.change(given)


# --- the schema -------------------------------------------------------------------------------------------


def test_what_a_config_says_is_kept_and_shown_again(tree: Path) -> None:
    given = {
        "blackouts": ["mon-fri 8:00-18:00"], "spread": "30m", "retries": {"count": 2, "delay": "5m"},
        "max_duration": "6h", "objectives": {"rpo": "26h", "rto": ""},
    }  # fmt: skip
    config = configs.get(daily(tree, **given))
    shown = configs.to_input(config)
    assert shown.blackouts == ["Mon-Fri 08:00-18:00"]
    assert (shown.spread, shown.retries.count, shown.retries.delay_s) == (1800, 2, 300)
    assert (shown.max_duration, shown.objectives.rpo, shown.objectives.rto) == (21600, 93600, None)
    assert configs.parse(shown.model_dump()).timing() == shown.timing()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"blackouts": ["00:00-24:00"]}, "blackouts"),
        ({"spread": "13h"}, "spread"),
        ({"retries": {"count": 11}}, "retries.count"),
        ({"retries": {"count": "x"}}, "retries.count"),
        ({"retries": {"delay": "soon"}}, "retries.delay"),
        ({"max_duration": "1s"}, "max_duration"),
        ({"objectives": {"rpo": "0"}}, "objectives.rpo"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        configs.parse({"name": "X", "source": {"paths": ["/etc"]}, **given})
    assert list(caught.value.fields) == [field]
