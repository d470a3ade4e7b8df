"""A copy in a process of its own: killed in the middle, nothing is lost, no lock stays, and it goes on."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts
from core.backups import copying
from core.configs import configs
from core.db import db, utc_now, write
from core.jobs import jobs
from core.models import Config, Job, Storage
from core.storages import storage_uses, storages
from jobs import launch, tick
from storage_adapters.s3 import S3Settings
from tests.core import servers
from tests.core.backups.test_copying import first
from tests.core.making import make_storage, make_tree
from tests.jobs.test_run import run_in_thread
from tests.jobs.waiting import until
from tests.servers.sshd import Sshd
from webapp import create_app

SLOWLY = 400_000  # bytes a second: the second pack waits for the first for 40 seconds


@pytest.fixture
def config(install: Flask, tmp_path: Path, s3_settings: S3Settings) -> Config:
    """Return a config with a bucket as second destination, and a point that is not there yet."""
    make_storage(tmp_path)
    bucket = servers.create(servers.s3_form(s3_settings)).repositories[0].id
    tree = make_tree(tmp_path / "tree")
    places = [first(), {"repository_id": bucket, "tier": "hot"}]
    made = configs.create(
        configs.parse({"name": "Files", "source": {"paths": [str(tree)]}, "destinations": places})
    )
    back_up(made.id)
    return configs.get(made.id)


def back_up(config_id: str) -> None:
    """Run a backup in a process of its own."""
    job_id = jobs.create_backup(config_id, "manual").id
    launch.run(job_id)
    assert jobs.get(job_id).status == "completed"


def limit(config: Config, upload: int | None) -> None:
    """Limit what may be sent to the bucket, in bytes a second."""
    with write() as session:
        storage_id = config.destinations[1].repository.storage_id
        session.get_one(Storage, storage_id).upload_limit = upload


def start_slow_copy(app: Flask, config: Config, tmp_path: Path) -> tuple[Job, threading.Thread]:
    """Return a copy that has stored a small point and is at the large one before it."""
    large = tmp_path / "tree" / "large"
    large.write_bytes(os.urandom(24 << 20))
    back_up(config.id)
    large.unlink()
    back_up(config.id)
    limit(config, SLOWLY)
    (job_id,) = jobs.queued_followers(config.id)[-1:]
    assert jobs.get(job_id).kind == "copy"
    thread = run_in_thread(app, job_id)
    until(lambda: copying.gaps(configs.get(config.id))[1].points == 1)
    until(lambda: jobs.get(job_id).bytes_added > 10 << 20)
    return jobs.get(job_id), thread


def test_killed_in_the_middle_it_goes_on_and_no_lock_stays(
    install: Flask, config: Config, tmp_path: Path, sshd: Sshd, s3_settings: S3Settings
) -> None:
    config_id = config.id
    job, thread = start_slow_copy(install, config, tmp_path)
    told = Path(f"/proc/{job.pid}/cmdline").read_bytes() + Path(f"/proc/{job.pid}/environ").read_bytes()
    assert s3_settings.secret_key.encode() not in told, "a secret stands in the process list"
    assert len(list((tmp_path / "backups" / "repository" / "locks").iterdir())) == 1
    os.kill(job.pid or 0, signal.SIGKILL)
    thread.join(120)
    db.session.rollback()
    job = jobs.get(job.id)
    assert (job.status, "counts and stays" in job.meaning) == ("interrupted", True)
    assert [alert.kind for alert in alerts.list_open()] == ["interrupted"]
    limit(config, None)
    again = copying.sync(configs.get(config_id).destinations[1].id)
    launch.run(again.id)
    again = jobs.get(again.id)
    # What was stored before stays: the small point; the large one and the very first are copied now.
    assert (again.status, again.counts["copied"]) == ("completed", 2), again.summary
    assert alerts.list_open() == []
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())
    for storage in storages.list_all():
        servers.restic_on(storage, sshd, "check", "--read-data")


def test_a_storage_in_use_is_not_deleted(install: Flask, config: Config) -> None:
    reasons = storage_uses.why_not_delete(config.destinations[1].repository.storage_id)
    assert any(reason.endswith("is using it.") for reason in reasons)


@pytest.mark.slow
def test_the_tick_fills_a_gap_that_was_left(install: Flask, config: Config) -> None:
    for job_id in jobs.queued_followers(config.id):
        jobs.request_cancel(job_id)
    later = utc_now().replace(minute=30) + timedelta(hours=3)
    made = [jobs.get(job_id) for job_id in tick.run(later)]
    assert [job.kind for job in made if job.kind == "copy"] == ["copy"]


@pytest.mark.slow
def test_the_command_copies_what_is_missing_and_says_when_nothing_is(
    install: Flask, config: Config, tmp_path: Path
) -> None:
    runner = create_app().test_cli_runner()
    done = runner.invoke(args=["backup", "sync", "--config", "Files"])
    assert (done.exit_code, "Files: completed. Copied 1 point from Local disk" in done.stdout) == (0, True)
    done = runner.invoke(args=["backup", "sync"])
    assert (done.exit_code, "Nothing is missing" in done.stderr) == (0, True)
