"""A job whose process dies before it begins is not started for ever."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from flask import Flask

from core.db import db, write
from core.jobs import jobs
from core.models import Job
from jobs import launch
from tests.core.making import make_config, make_storage, make_tree


@pytest.fixture
def job_id(install: Flask, tmp_path: Path) -> int:
    """Return a queued backup."""
    make_storage(tmp_path)
    return jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id


def start_and_kill(job_id: int) -> Job:
    """Start its process and kill that at once; return the row."""
    launch.run(job_id, subprocess.Popen.kill)
    return jobs.get(job_id)


@pytest.mark.parametrize("phase", ["", "waiting"])
def test_one_that_is_killed_before_it_begins_fails_at_the_third_time(job_id: int, phase: str) -> None:
    with write() as session:
        session.get_one(Job, job_id).phase = phase
    assert [start_and_kill(job_id).status for _ in range(3)] == ["queued", "queued", "failed"]
    job = jobs.get(job_id)
    assert "SIGKILL" in job.summary
    assert "3 times" in job.summary


def test_one_killed_by_chance_runs_the_next_time(job_id: int) -> None:
    start_and_kill(job_id)
    launch.run(job_id)
    assert jobs.get(job_id).status == "completed"


def test_being_told_to_end_with_the_worker_does_not_count(job_id: int) -> None:
    def end(process: subprocess.Popen[bytes]) -> None:
        launch.stop_unclaimed()

    for _ in range(4):
        launch.run(job_id, end)
    db.session.rollback()
    job = jobs.get(job_id)
    assert (job.status, job.parameters) == ("queued", {})
