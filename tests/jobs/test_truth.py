"""Nothing that went wrong is ever called completed; what happened and what to do is said; nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from flask import Flask

from core import setup
from core.alerting import alerts
from core.db import db, utc_now, write
from core.jobs import jobs
from core.models import Config, Job, RepositoryRecord
from core.points import points
from core.settings import PROJECT_DIR
from core.storages import storages
from jobs import launch
from tests.core.making import make_config, make_storage, make_tree, restic

need_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small file system")


def spoil_packs(repository: Path, kind: str) -> None:
    """Flip a byte in the first piece of every pack with pieces of this type."""
    index = json.loads(restic(repository, "cat", "index", next((repository / "index").iterdir()).name))
    for listed in index["packs"]:
        if listed["blobs"][0]["type"] == kind:
            pack = repository / "data" / listed["id"][:2] / listed["id"]
            pack.chmod(0o600)
            content = bytearray(pack.read_bytes())
            content[40] ^= 0xFF
            pack.write_bytes(content)


def back_up(config_id: str) -> Job:
    """Run a backup in a process of its own, as a worker does."""
    job_id = jobs.create_backup(config_id, "manual").id
    launch.run(job_id)
    return jobs.get(job_id)


@pytest.fixture
def config(install: Flask, tmp_path: Path) -> Config:
    """Return a config with one good point of three files."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"))
    assert back_up(made.id).status == "completed"
    return made


def assert_failed(
    job: Job, happened: str, to_do: str, meaning: str = "Nothing earlier is lost: the last good point is from"
) -> None:
    """Hold a failed job to its word: what happened, what it means, what to do, an alert, nothing lost."""
    assert job.status == "failed", f"{job.status}: {job.summary}"
    assert happened in job.summary
    assert meaning in job.meaning
    assert to_do in job.advice
    assert job.detail
    (alert,) = [each for each in alerts.list_open() if each.kind == "failure"]
    assert job.summary in alert.what
    assert len(points.good_points(job.config_id or "")) == 1


def assert_whole(repository: Path) -> None:
    """See that the one point of before is there still, whole, by restic's word."""
    assert len(list((repository / "snapshots").iterdir())) == 1
    restic(repository, "check", "--read-data", "--no-lock")


def test_a_missing_source(config: Config, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "tree")
    assert_failed(back_up(config.id), f"{tmp_path}/tree does not exist", "its disk is mounted")
    assert_whole(tmp_path / "backups" / "repository")


def test_a_source_that_is_empty_after_it_was_full(config: Config, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "tree")
    (tmp_path / "tree").mkdir()
    assert_failed(back_up(config.id), "The source is empty", "not mounted")
    assert_whole(tmp_path / "backups" / "repository")


def test_a_storage_that_is_not_mounted(config: Config, tmp_path: Path) -> None:
    (tmp_path / "backups").rename(tmp_path / "elsewhere")
    (tmp_path / "backups").mkdir()
    assert_failed(back_up(config.id), "is unreachable: its marker .holdfast-storage is missing", "mounted")
    assert list((tmp_path / "backups").iterdir()) == [], "nothing may be written in its place"
    assert_whole(tmp_path / "elsewhere" / "repository")


def test_a_storage_whose_folder_is_gone(config: Config, tmp_path: Path) -> None:
    (tmp_path / "backups").rename(tmp_path / "elsewhere")
    assert_failed(back_up(config.id), "is unreachable", "mounted")
    assert not (tmp_path / "backups").exists()


def test_a_repository_that_is_gone_from_its_storage(config: Config, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "backups" / "repository")
    assert_failed(back_up(config.id), "there is no repository", "mounted")
    assert not (tmp_path / "backups" / "repository").exists()


def test_a_wrong_password(config: Config, tmp_path: Path) -> None:
    with write() as session:
        record = session.get_one(RepositoryRecord, storages.list_repositories()[0].id)
        record.password_sealed = storages.seal_password(record.id, "not the password")
    assert_failed(back_up(config.id), "password is wrong", "Put the right one back")
    assert_whole(tmp_path / "backups" / "repository")


@pytest.mark.parametrize("kind", ["tree", "data"])
def test_a_flipped_byte_in_a_pack_that_is_still_needed(config: Config, tmp_path: Path, kind: str) -> None:
    """The new snapshot would name the damaged piece as stored long ago: it must not pass for a point."""
    spoil_packs(tmp_path / "backups" / "repository", kind)
    job = back_up(config.id)
    assert_failed(job, "damaged", "restic check --read-data", "Earlier points may share what is damaged")
    before = points.list_for(config.id)
    back_up(config.id)
    assert len(points.list_for(config.id)) == len(before), "the rejected snapshot was adopted"


def test_a_file_changed_while_read_is_listed_and_completed(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    (tmp_path / "tree").mkdir()
    growing = tmp_path / "tree" / "growing.log"
    with open(growing, "wb") as file:
        file.truncate(256 << 20)
    made = make_config(tmp_path / "tree")
    ended = threading.Event()

    def write_all_the_time() -> None:
        while not ended.wait(0.01):
            with open(growing, "ab") as file:
                file.write(b"one more line\n")

    writer = threading.Thread(target=write_all_the_time)
    writer.start()
    try:
        job = back_up(made.id)
    finally:
        ended.set()
        writer.join()
    assert (job.status, job.problems) == ("completed", 1), job.summary
    assert "1 file changed while being read" in job.summary
    assert any(str(growing) == line.path for line in jobs.log_lines(job.id, problems_only=True).items)


def back_up_without_override(config_id: str) -> Job:
    """Run a backup whose process may not read what its mode forbids, also as root (no CAP_DAC_OVERRIDE)."""
    job_id = jobs.create_backup(config_id, "manual").id
    command = [sys.executable, "-m", "jobs.run", str(job_id)]
    if os.getuid() == 0:
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    db.session.rollback()  # see what it wrote
    return jobs.get(job_id)


def test_one_unreadable_file_is_a_warning_and_listed(install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    secret = tmp_path / "tree" / "sub" / "1.txt"
    secret.chmod(0)
    job = back_up_without_override(config.id)
    assert (job.status, job.problems) == ("warning", 1), job.summary
    lines = jobs.log_lines(job.id, problems_only=True).items
    assert [line.path for line in lines] == [str(secret)]
    point = points.latest(config.id)
    assert point is not None
    assert (point.files, point.warnings) == (2, 1)


def test_all_files_unreadable_is_failed(config: Config, tmp_path: Path) -> None:
    for path in (tmp_path / "tree" / "sub").iterdir():
        path.chmod(0)
    job = back_up_without_override(config.id)
    assert_failed(job, "None of the 3 files could be read", "readable")
    assert_whole(tmp_path / "backups" / "repository")


@need_root
def test_a_full_disk(install: Flask, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk)], check=True)
    try:
        setup.create_first_storage(str(disk / "backups"))
        made = make_config(make_tree(tmp_path / "tree"))
        assert back_up(made.id).status == "completed"
        (tmp_path / "tree" / "random").write_bytes(os.urandom(30 << 20))
        assert_failed(back_up(made.id), "The storage is full", "Make room")
        (tmp_path / "tree" / "random").unlink()
        assert_whole(disk / "backups" / "repository")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_alert_is_resolved_by_the_next_good_run(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tree").rename(tmp_path / "away")
    back_up(config.id)
    assert alerts.list_open()
    (tmp_path / "away").rename(tmp_path / "tree")
    assert back_up(config.id).status == "completed"
    assert not alerts.list_open()


def test_a_config_deleted_meanwhile(config: Config) -> None:
    job_id = jobs.create_backup(config.id, "manual").id
    with write() as session:
        session.get_one(Config, config.id).deleted_at = utc_now()
    launch.run(job_id)
    assert (jobs.get(job_id).status, "deleted" in jobs.get(job_id).summary) == ("failed", True)
