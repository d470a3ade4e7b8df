"""The process of a job: it ends its row truthfully, and whoever waits for it does if it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts
from core.db import db, utc_now, write
from core.jobs import attempts, jobs, processes
from core.jobs.attempts import AttemptLost
from core.jobs.outcomes import Outcome
from core.models import Job
from core.points import points
from core.settings import PROJECT_DIR
from core.storages import storages
from jobs import launch
from repository.locks import lock_repository
from tests.core.making import make_config, make_storage, make_tree, restic
from tests.jobs.waiting import is_reading, make_slow_tree, until


def run_in_thread(app: Flask, job_id: int) -> threading.Thread:
    """Wait for a job's process in a thread, as a worker does."""

    def work() -> None:
        with app.app_context():
            launch.run(job_id)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def start_slow_backup(app: Flask, tmp_path: Path) -> tuple[Job, threading.Thread]:
    """Return a job that is in the middle of reading, and the thread that waits for its process."""
    make_storage(tmp_path)
    config = make_config(make_slow_tree(tmp_path / "tree"))
    job_id = jobs.create_backup(config.id, "manual").id
    thread = run_in_thread(app, job_id)
    until(lambda: is_reading(job_id))
    return jobs.get(job_id), thread


def test_a_job_runs_in_a_process_of_its_own(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    job_id = jobs.create_backup(config.id, "manual").id
    launch.run(job_id)
    job = jobs.get(job_id)
    assert (job.status, job.attempt) == ("completed", 1)
    assert job.pid != os.getpid()
    assert processes.is_dead(job)


def test_a_killed_job_is_interrupted_at_once_and_the_next_one_succeeds(
    install: Flask, tmp_path: Path
) -> None:
    repository = make_storage(tmp_path)
    config = make_config(make_slow_tree(tmp_path / "tree"))
    job_id = jobs.create_backup(config.id, "manual").id
    thread = run_in_thread(install, job_id)
    until(lambda: is_reading(job_id))
    job = jobs.get(job_id)
    assert len(list((repository / "locks").iterdir())) == 1
    os.kill(job.pid or 0, signal.SIGKILL)
    thread.join(120)
    db.session.rollback()
    job = jobs.get(job_id)
    assert job.status == "interrupted"
    assert "SIGKILL" in job.summary
    assert [(alert.kind, alert.job_id) for alert in alerts.list_open()] == [("interrupted", job_id)]

    (tmp_path / "tree" / "large.img").unlink()
    second = jobs.create_backup(config.id, "manual").id
    launch.run(second)
    assert jobs.get(second).status == "completed"
    assert not list((repository / "locks").iterdir()), "the dead job's lock was to be removed"
    assert not alerts.list_open()
    restic(repository, "check", "--read-data")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_told_to_end_stops_cleanly(install: Flask, tmp_path: Path, number: signal.Signals) -> None:
    job, thread = start_slow_backup(install, tmp_path)
    os.kill(job.pid or 0, number)
    thread.join(40)
    assert not thread.is_alive()
    db.session.rollback()
    assert jobs.get(job.id).status == "interrupted"
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())
    assert points.latest(job.config_id or "") is None


def test_a_hangup_is_ignored(install: Flask, tmp_path: Path) -> None:
    job, thread = start_slow_backup(install, tmp_path)
    os.kill(job.pid or 0, signal.SIGHUP)
    time.sleep(0.5)
    assert processes.is_alive(jobs.get(job.id))
    jobs.request_cancel(job.id)
    thread.join(120)
    assert jobs.get(job.id).status == "cancelled"


BEFORE_ANY_LOCK = """
import os, signal, sys
from jobs import run
def hang_up_instead():
    os.kill(os.getpid(), signal.SIGHUP)
    raise run.settings.SettingsError("it lives")
run.settings.load = hang_up_instead
sys.exit(run.main(["1"]))
"""


def test_a_hangup_is_ignored_from_the_start() -> None:
    """A lock ignores it while it is held; who sends it may have read of one that is given back already."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_ANY_LOCK], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "it lives\n")


def test_cancel_stops_a_running_job_and_removes_its_lock(install: Flask, tmp_path: Path) -> None:
    job, thread = start_slow_backup(install, tmp_path)
    jobs.request_cancel(job.id)
    thread.join(120)
    db.session.rollback()
    assert jobs.get(job.id).status == "cancelled"
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())
    assert not alerts.list_open()


def test_a_job_whose_row_was_taken_from_it_ends_without_writing(install: Flask, tmp_path: Path) -> None:
    job, thread = start_slow_backup(install, tmp_path)
    me = processes.this_process()
    with write() as session:
        row = session.get_one(Job, job.id)
        row.attempt, row.pid, row.pid_started = 2, me.pid, me.pid_started
    thread.join(120)
    assert not thread.is_alive()
    db.session.rollback()
    assert (jobs.get(job.id).status, jobs.get(job.id).attempt) == ("running", 2)
    assert not list((tmp_path / "backups" / "repository" / "snapshots").glob("*"))


def test_progress_and_heartbeat_are_written_while_it_runs(install: Flask, tmp_path: Path) -> None:
    job, thread = start_slow_backup(install, tmp_path)
    first, beat = job.bytes_done, job.heartbeat_at
    until(lambda: jobs.get(job.id).bytes_done > first)
    until(lambda: jobs.get(job.id).heartbeat_at != beat)
    assert until(lambda: jobs.get(job.id).bytes_total) is not None
    jobs.request_cancel(job.id)
    thread.join(120)


def test_a_process_that_cannot_begin_fails_the_job(
    install: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    job_id = jobs.create_backup(config.id, "manual").id
    monkeypatch.setenv("PORT", "not a number")
    launch.run(job_id)
    job = jobs.get(job_id)
    assert job.status == "failed"
    assert "PORT" in job.detail


def test_only_one_process_can_claim_a_job(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    assert attempts.claim(job_id) is not None
    assert attempts.claim(job_id) is None
    launch.run(job_id)
    assert jobs.get(job_id).pid == os.getpid()


def test_an_old_attempt_can_write_nothing(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    old = attempts.claim(job_id)
    assert old is not None
    with write() as session:
        session.get_one(Job, job_id).status = "queued"
    new = attempts.claim(job_id)
    assert new is not None
    assert new.number == 2
    with pytest.raises(AttemptLost):
        attempts.finish(old, Outcome("completed", "a lie"))
    attempts.pulse(old)
    assert old.lost.is_set()
    attempts.finish(new, Outcome("completed", "true"))
    assert jobs.get(job_id).summary == "true"


def test_a_job_waits_for_somebody_elses_lock_and_then_gives_up(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    repo = storages.open_repository(storages.list_repositories()[0])
    with lock_repository(repo, exclusive=True):
        launch.run(job_id)
        job = jobs.get(job_id)
        assert (job.status, job.phase) == ("queued", "waiting")
        assert "locked by exclusively" in job.waiting_reason
        assert job_id not in jobs.to_enqueue()
        assert job_id in jobs.to_enqueue(utc_now() + attempts.RETRY_AFTER)
        with write() as session:
            row = session.get_one(Job, job_id)
            row.not_before = None
            row.parameters = {"waiting_since": (utc_now() - attempts.WAIT_AT_MOST).isoformat()}
        launch.run(job_id)
        job = jobs.get(job_id)
        assert job.status == "failed"
        assert "in vain" in job.summary
        assert "restic unlock" in job.advice
    repo.close()


def test_a_lock_of_somebody_else_is_never_removed(install: Flask, tmp_path: Path) -> None:
    """Its process is dead and it is of this very host, but it stands on no job row."""
    repository = make_storage(tmp_path)
    repo = storages.open_repository(storages.list_repositories()[0])
    lock = lock_repository(repo, exclusive=True)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    launch.run(job_id)
    assert jobs.get(job_id).phase == "waiting"
    assert len(list((repository / "locks").iterdir())) == 1
    lock.release()
    repo.close()
