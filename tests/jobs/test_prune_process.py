"""A prune in a process of its own: killed in the middle no point suffers, no lock stays, and it goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts
from core.configs import configs
from core.db import db, utc_now, write
from core.jobs import jobs
from core.models import Config, Copy, Storage
from core.retention import pruning, retention
from core.storages import storages
from jobs import launch
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run
from tests.jobs.test_run import run_in_thread
from tests.jobs.waiting import until
from webapp import create_app

SLOWLY = 400_000  # bytes a second: the second pack waits for the first for 40 seconds
MIB = 1 << 20


def packs(repository: Path) -> dict[str, int]:
    """Return the packs that are whole, by name, with their sizes."""
    found = (path for path in (repository / "data").rglob("*") if path.is_file())
    return {path.name: path.stat().st_size for path in found if len(path.name) == 64}


def limit(upload: int | None) -> None:
    """Limit what may be sent to the storage, in bytes a second."""
    with write() as session:
        session.query(Storage).one().upload_limit = upload


def let_the_trash_be_old() -> None:
    """Let what is in the trash have been there for a week."""
    with write() as session:
        for copy in session.query(Copy).where(Copy.trashed_at.is_not(None)):
            copy.trashed_at = utc_now() - retention.TRASH_FOR


def make_points(tmp_path: Path, each_bytes: int) -> Config:
    """Return a config with a point of three files; as many more lie in the trash for a week."""
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    for number in range(6):
        (tree / str(number)).write_bytes(os.urandom(each_bytes))
    made = make_config(tree, retention={"max_backups": 1})
    assert back_up(made.id).status == "completed"
    for number in range(0, 6, 2):
        (tree / str(number)).unlink()
    assert back_up(made.id).status == "completed"
    run(jobs.create_retention("manual", made.id, confirmed=True))
    let_the_trash_be_old()
    return configs.get(made.id)


def test_killed_in_the_middle_it_loses_nothing_and_the_next_goes_on(install: Flask, tmp_path: Path) -> None:
    config = make_points(tmp_path, 8 * MIB)  # each pack of the older point is half needed
    repository = tmp_path / "backups" / "repository"
    run(jobs.create_retention("manual", config.id))
    (queued,) = pruning.queued_ids()
    before = packs(repository)
    limit(SLOWLY)
    thread = run_in_thread(install, queued)
    until(lambda: packs(repository).keys() - before.keys())
    os.kill(jobs.get(queued).pid or 0, signal.SIGKILL)
    thread.join(120)
    db.session.rollback()
    job = jobs.get(queued)
    assert (job.status, "as good as before" in job.meaning) == ("interrupted", True)
    assert [alert.kind for alert in alerts.list_open()] == ["interrupted"]
    assert before.items() <= packs(repository).items(), "a pack that is needed may be gone"
    restic(repository, "--no-lock", "check", "--read-data")
    limit(None)
    again = pruning.create(storages.list_repositories()[0].id, "manual").id
    launch.run(again)
    job = jobs.get(again)
    assert (job.status, job.counts["bytes_left"]) == ("completed", 0), job.summary
    assert sum(packs(repository).values()) < sum(before.values()) - 20 * MIB
    assert alerts.list_open() == []
    assert not list((repository / "locks").iterdir())
    assert "no errors" in restic(repository, "check", "--read-data")


@pytest.mark.slow
def test_the_command_empties_the_trash_and_then_prunes(install: Flask, tmp_path: Path) -> None:
    make_points(tmp_path, MIB // 4)
    runner = create_app().test_cli_runner()
    done = runner.invoke(args=["backup", "cleanup", "--prune", "--config", "Files", "--json"])
    db.session.rollback()
    assert done.exit_code == 0, done.output
    cleanup, prune = json.loads(done.stdout)["jobs"]
    assert (cleanup["kind"], cleanup["counts"]["removed"]) == ("retention", 1)
    assert (prune["kind"], prune["counts"]["bytes_freed"] > MIB // 2) == ("prune", True), prune
    assert jobs.list_jobs(kind="prune").total == 1, "that which follows by itself is the same one"


@pytest.mark.slow
def test_without_a_worker_it_follows_from_a_backup_all_the_same(install: Flask, tmp_path: Path) -> None:
    make_points(tmp_path, MIB // 4)
    runner = create_app().test_cli_runner()
    assert runner.invoke(args=["backup", "files", "--wait"]).exit_code == 0
    db.session.rollback()
    (job,) = jobs.list_jobs(kind="prune").items
    assert (job.status, job.trigger) == ("completed", pruning.AUTOMATIC)
    assert job.counts["bytes_freed"] > MIB // 2
