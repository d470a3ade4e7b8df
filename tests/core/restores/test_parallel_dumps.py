"""Parallel dumps of a config: taken through a folder, restored through one, with the same proofs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.backups import work_folders
from core.configs import configs
from core.db import utc_now, write
from core.errors import Invalid
from core.jobs import jobs
from core.jobs.attempts import Attempt
from core.models import Config, Job, Restore
from core.points import browse
from core.restores import database_restores, restores
from repository.progress import Progress
from sources.postgres import source
from tests.core.making import back_up, make_storage, run
from tests.core.restores.test_databases import (
    latest,
    log_of,
    make_database_config,
    restore,
    shop,
    source_of,
)
from tests.core.restores.test_restores import spoil_pack
from tests.servers.postgres import Cluster
from tests.sources.postgres.making import leave_behind

__all__ = ["shop"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder for dumps."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def config(context: Flask, postgres: Cluster, shop: str, tmp_path: Path, work: Path) -> Config:
    """Return a config that dumps the shop by two processes."""
    make_storage(tmp_path)
    return make_database_config(postgres, shop, parallel_jobs="2", work_folder=str(work))


def test_it_is_dumped_and_restored_with_the_same_proof(
    postgres: Cluster, shop: str, config: Config, work: Path
) -> None:
    job = back_up(config.id)
    assert job.status == "completed", job.summary + log_of(job)
    assert "dumped by 2 processes" in log_of(job)
    assert os.listdir(work) == []
    assert browse.find(latest(config), f"/databases/{shop}.dir/toc.dat".encode())
    job = restore(latest(config), f"{shop}_new")
    assert (job.status, job.problems) == ("completed", 0), job.summary + log_of(job)
    assert "2 tables, 500 rows" in job.summary
    assert os.listdir(work) == []
    question = "SELECT * FROM articles ORDER BY id"
    assert postgres.ask(question, f"{shop}_new") == postgres.ask(question, shop)


def test_in_place_after_a_safety_dump(postgres: Cluster, shop: str, config: Config, work: Path) -> None:
    back_up(config.id)
    postgres.run("DELETE FROM articles", database=shop)
    given = {"point_id": latest(config).id, "to": shop, "in_place": True}
    job = database_restores.create(database_restores.validate(given))
    assert run(jobs.get(restores.safety_job_of(job) or 0)).status == "completed"
    job = run(jobs.get(job.id))
    assert job.status == "completed", job.summary + log_of(job)
    assert postgres.ask("SELECT count(*) FROM articles", shop) == [(500,)]
    postgres.drop(restores.of_job(job.id).database["result"]["previous"])
    assert os.listdir(work) == []


def test_a_damaged_file_fails_the_restore_and_leaves_nothing(
    postgres: Cluster, shop: str, config: Config, work: Path, tmp_path: Path
) -> None:
    back_up(config.id)
    spoil_pack(tmp_path / "backups" / "repository", data=True)
    job = restore(latest(config), f"{shop}_new")
    assert job.status == "failed", job.summary
    assert os.listdir(work) == []
    assert f"{shop}_new" not in {name for (name,) in postgres.ask("SELECT datname FROM pg_database")}


def test_the_folder_is_asked_for_where_there_is_none_any_more(
    postgres: Cluster, shop: str, config: Config, work: Path, tmp_path: Path
) -> None:
    back_up(config.id)
    point = latest(config)
    shutil.rmtree(work)
    with pytest.raises(Invalid, match="There is no folder") as refused:
        restore(point, f"{shop}_new")
    assert list(refused.value.fields) == ["work_folder"]
    one = source_of(postgres, shop, parallel_jobs="")
    data = configs.parse({"name": "Shop", "type": "database", "source": one})
    configs.update(config.id, data)
    with pytest.raises(Invalid, match="Choose a folder of this machine"):
        restore(point, f"{shop}_new")
    other = tmp_path / "other"
    other.mkdir()
    job = restore(point, f"{shop}_new", work_folder=str(other))
    assert job.status == "completed", job.summary + log_of(job)
    assert os.listdir(other) == []


def test_too_little_room_is_told_before_a_job_begins(
    shop: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(config.id)
    usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Invalid, match="A parallel dump needs about") as refused:
        restore(latest(config), f"{shop}_new")
    assert list(refused.value.fields) == ["work_folder"]
    found = configs.preview(configs.to_input(config), config_id=config.id)
    assert found.stops  # type: ignore[union-attr]
    assert "A parallel dump needs about" in found.room  # type: ignore[union-attr]
    job = back_up(config.id)
    assert job.status == "failed"
    assert "parallel dump needs about" in job.summary


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"work_folder": ""}, "Choose a folder"),
        ({"work_folder": "tmp"}, "whole path"),
        ({"work_folder": "/no/such/folder"}, "There is no folder"),
        ({"work_folder": "backups"}, "a storage that keeps backups"),
        ({"work_folder": "data"}, "own data folder"),
        ({"parallel_jobs": 0, "work_folder": "/tmp"}, "parallel_jobs"),
        ({"parallel_jobs": 17, "work_folder": "/tmp"}, "parallel_jobs"),
    ],
)
def test_what_cannot_be_is_refused(
    context: Flask, postgres: Cluster, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    make_storage(tmp_path)
    if wrong["work_folder"] in ("backups", "data"):
        wrong = {"work_folder": str(tmp_path / wrong["work_folder"])}
    given = source_of(postgres, "x", **{"parallel_jobs": 4, **wrong})
    with pytest.raises(Invalid) as refused:
        configs.create(configs.parse({"name": "Shop", "type": "database", "source": given}))
    (field,) = refused.value.fields
    assert said in refused.value.message or said == field


def test_what_killed_runs_left_is_swept(config: Config, shop: str, work: Path, tmp_path: Path) -> None:
    """In the folders of configs, and in those of restores that were interrupted."""
    back_up(config.id)
    other = tmp_path / "other"
    other.mkdir()
    job = restore(latest(config), f"{shop}_new", work_folder=str(other))
    left = {folder: leave_behind(folder) for folder in (work, other)}
    for folder in (work, other):
        (left[folder] / "toc.dat").write_text("x")
        (folder / "of somebody else").mkdir()
    assert work_folders.sweep() == [str(left[work])]
    with write() as session:
        row = session.get_one(Job, job.id)
        row.status, row.ended_at = "interrupted", utc_now()
        assert session.query(Restore).one().job_id == job.id
    assert work_folders.sweep() == [str(left[other])]
    assert os.listdir(work) == os.listdir(other) == ["of somebody else"]


def test_a_long_dump_is_not_taken_for_a_job_that_hangs(
    config: Config, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is handed on while pg_dump writes to files: what it has written is the job's progress."""
    reported: list[bytes] = []
    report = Attempt.report

    def note(attempt: Attempt, progress: Progress) -> None:
        reported.append(progress.current)
        report(attempt, progress)

    def at_once(place: str, name: str, tell: Callable[[str], None], waiting: Callable[[], None]) -> object:
        tell(f"{name}: 1 GB dumped")
        return waiting

    monkeypatch.setattr(Attempt, "report", note)
    monkeypatch.setattr(source, "telling", at_once)
    assert back_up(config.id).status == "completed"
    assert f"{shop}: 1 GB dumped".encode() in reported
