"""A worker may be killed at any moment: the job's process goes on, and nobody starts it a second time."""

from __future__ import annotations

import os
import signal
import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts
from core.configs import configs
from core.db import utc_now, write
from core.errors import NotFound
from core.jobs import interrupted, jobs, nodes, processes
from core.models import Config, Storage
from core.points import points
from core.storages import providers, storage_inputs, storages
from jobs import queue, tasks, tick, worker
from jobs.tasks import enqueue
from tests.core.backups.test_copying import add_disk, first
from tests.core.making import back_up, make_config, make_storage, make_tree
from tests.jobs.conftest import Start
from tests.jobs.waiting import is_reading, make_slow_tree, until


def test_a_worker_runs_what_is_enqueued(install: Flask, start: Start, tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    start("jobs.worker", "main")
    until(nodes.worker_lives)
    job_id = jobs.create_backup(config.id, "manual").id
    enqueue([job_id])
    until(lambda: jobs.get(job_id).status == "completed")
    follower = until(lambda: jobs.list_jobs(kind="retention").items)[0]
    until(lambda: jobs.get(follower.id).status == "completed")


def test_a_killed_worker_neither_stops_nor_doubles_its_job(
    install: Flask, start: Start, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    config = make_config(make_slow_tree(tmp_path / "tree", gib=4))
    first = start("jobs.worker", "main")
    until(nodes.worker_lives)
    job_id = jobs.create_backup(config.id, "manual").id
    enqueue([job_id])
    until(lambda: is_reading(job_id))
    pid = jobs.get(job_id).pid or 0
    os.kill(pid, signal.SIGSTOP)  # so that it is not over before the new worker has had its look at it
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    second = start("jobs.worker", "main")
    tasks.run_job(job_id)  # as if it stood in the queue once more
    until(lambda: not queue.main.pending())
    enqueue(tick.run(utc_now()))
    assert interrupted.mark_interrupted() == []
    job = jobs.get(job_id)
    assert (job.status, job.attempt, job.pid) == ("running", 1, pid)
    assert processes.is_alive(job)
    os.kill(pid, signal.SIGCONT)
    until(lambda: jobs.get(job_id).ended)
    job = jobs.get(job_id)
    assert (job.status, job.attempt, job.pid) == ("completed", 1, pid), job.summary
    assert len(points.list_for(config.id)) == 1
    assert second.poll() is None


def test_a_worker_and_its_job_both_killed_are_noticed_by_the_sweep(
    install: Flask, start: Start, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    config = make_config(make_slow_tree(tmp_path / "tree"))
    running = start("jobs.worker", "main")
    job_id = jobs.create_backup(config.id, "manual").id
    enqueue([job_id])
    until(lambda: is_reading(job_id))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    os.kill(jobs.get(job_id).pid or 0, signal.SIGKILL)
    until(lambda: processes.is_dead(jobs.get(job_id)))
    tick.run()
    assert jobs.get(job_id).status == "interrupted"
    assert [alert.job_id for alert in alerts.list_open() if alert.kind == "interrupted"] == [job_id]


def test_a_stopped_worker_says_that_it_is_gone(install: Flask, start: Start) -> None:
    running = start("jobs.worker", "main")
    until(nodes.worker_lives)
    running.terminate()
    assert running.wait(120) == 0
    until(lambda: not nodes.worker_lives())


def test_the_tick_worker_starts_scheduled_backups(install: Flask, start: Start, tmp_path: Path) -> None:
    """The periodic task itself runs at the full minute; here it is put into its queue by hand."""
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"), cron="* * * * *")
    with write() as session:
        session.get_one(Config, config.id).scheduled_since = utc_now() - timedelta(minutes=3)
    start("jobs.worker", "tick")
    start("jobs.worker", "main")
    tasks.every_minute()
    found = until(lambda: jobs.list_jobs(kind="backup", status="completed").items)
    assert found[0].trigger == "schedule"


@pytest.mark.slow
def test_a_disk_that_is_gone_is_noticed_while_nothing_uses_it(
    install: Flask, start: Start, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    os.rename(tmp_path / "backups", tmp_path / "unplugged")
    start("jobs.worker", "tick")
    found = until(alerts.list_open)
    assert [alert.kind for alert in found] == ["unreachable"]


def test_an_unknown_worker_is_a_usage_error(install: Flask, start: Start) -> None:
    running = start("jobs.worker", "nonsense")
    _, errors = running.communicate(timeout=240)
    assert running.returncode == 2
    assert "jobs.worker main" in errors


def test_nothing_is_enqueued_twice(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    enqueue([job_id])
    enqueue([job_id])
    assert [task.args for task in queue.main.pending()] == [(job_id,)]


@pytest.mark.slow
def test_copies_leave_slots_to_backups(install: Flask, start: Start, tmp_path: Path) -> None:
    """As many copies as there are slots, to a server that accepts and never answers."""
    make_storage(tmp_path)
    second = add_disk(tmp_path, "second")
    for number in range(worker.SLOTS):
        tree = make_tree(tmp_path / str(number))
        back_up(make_config(tree, f"Files {number}", destinations=[first(), {"repository_id": second}]).id)
    queued = [job.id for job in jobs.list_jobs(kind="copy", status="queued").items]
    assert len(queued) == worker.SLOTS
    with socket.create_server(("127.0.0.1", 0)) as silent:
        move_to(silent.getsockname()[1], storages.get_repository(second).storage_id)
        start("jobs.worker", "main")
        enqueue(queued)
        until(lambda: jobs.list_jobs(kind="copy", status="running").total == tasks.MOST_COPIES)
        job_id = jobs.create_backup(configs.list_all()[0].id, "manual").id
        enqueue([job_id])
        until(lambda: jobs.get(job_id).status == "completed")
        assert jobs.list_jobs(kind="copy", status="running").total == tasks.MOST_COPIES


def move_to(port: int, storage_id: str) -> None:
    """Let a storage be a bucket at this port."""
    given = {"endpoint": f"http://127.0.0.1:{port}", "bucket": "bucket", "access_key": "a", "secret_key": "b"}
    data = providers.parse({"provider": "s3", "name": "Silent", **given})
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage_inputs.fill(storage, data)
        storage.credentials_sealed = providers.seal_credentials(storage_id, data.credentials)


@pytest.mark.slow
def test_what_fails_now_and_then_is_done_again(install: Flask) -> None:
    """Whatever it is: nobody would notice that a thread of the worker has ended."""
    ended, done = threading.Event(), []

    def duty() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise NotFound("gone meanwhile")
        ended.set()

    worker._repeat(install, duty, 0.01, ended)
    assert done == [0, 1]
