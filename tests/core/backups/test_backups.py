"""A backup says completed only when everything asked for is stored and readable."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.configs import configs, states
from core.configs.config_source import open_source, source_of
from core.db import db, write
from core.errors import Conflict
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Copy, Job, Point
from core.points import points
from core.storages import storages
from repository import tree_cache
from repository.backup import BackupOptions, backup
from repository.entries import Listing
from repository.locks import lock_repository
from sources.local import LocalSource
from storage_adapters.retry import RetryPolicy
from tests.core.making import back_up, make_config, make_storage, make_tree, restic

pytestmark = pytest.mark.usefixtures("context")


def test_a_backup_makes_a_point_that_restic_restores(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    tree = make_tree(tmp_path / "data-to-keep")
    config = make_config(tree)
    job = back_up(config.id)
    assert (job.status, job.problems) == ("completed", 0)
    assert "3 files" in job.summary
    point = points.latest(config.id)
    assert point is not None
    assert (point.files, point.job_id, point.full_read) == (3, job.id, True)
    restic(repository, "check", "--read-data")
    restic(repository, "restore", point.copies[0].snapshot_id, "--target", str(tmp_path / "out"))
    restored = tmp_path / "out" / str(tree).lstrip("/")
    subprocess.run(["diff", "-r", str(tree), str(restored)], check=True)


def test_the_snapshot_carries_the_tag_of_its_config(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    (snapshot,) = json.loads(restic(repository, "snapshots", "--json"))
    assert snapshot["tags"] == [f"holdfast:config={config.id}"]


def test_retention_follows_a_backup(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    (follower,) = jobs.list_jobs(kind="retention").items
    assert (follower.config_id, follower.status) == (config.id, "queued")


def test_only_what_changed_is_stored_again(tmp_path: Path) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree)
    back_up(config.id)
    (tree / "sub" / "1.txt").write_text("another content")
    job = back_up(config.id)
    assert (job.counts["files_changed"], job.counts["files_unmodified"]) == (1, 2)


def test_an_unchanged_folder_is_not_even_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_cache, "RACY_NS", 10_000_000)
    listed: list[bytes] = []
    list_dir = LocalSource.list_dir

    def note(source: LocalSource, path: bytes) -> Listing:
        listed.append(path)
        return list_dir(source, path)

    monkeypatch.setattr(LocalSource, "list_dir", note)
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree)
    time.sleep(0.03)
    back_up(config.id)
    assert os.fsencode(tree) in listed
    listed.clear()
    job = back_up(config.id)
    assert os.fsencode(tree.parent) in listed
    assert os.fsencode(tree) not in listed
    assert (job.status, job.counts["files_unmodified"]) == ("completed", 3)


def test_every_file_is_read_again_after_full_read_days(tmp_path: Path) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree, full_read_days=7)
    config_id = config.id
    back_up(config_id)
    back_up(config_id)
    assert [point.full_read for point in points.list_for(config_id)] == [False, True]
    with write() as session:
        for point in session.scalars(select(Point)):
            point.taken_at = point.taken_at - timedelta(days=8)
    back_up(config_id)
    assert points.list_for(config_id)[0].full_read


def test_a_cancel_request_leaves_no_snapshot_and_no_lock(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    job_id = jobs.create_backup(config.id, "manual").id
    attempt = attempts.claim(job_id)
    assert attempt is not None
    jobs.request_cancel(job_id)
    attempts.pulse(attempt)
    job_kinds.perform(attempt)
    assert jobs.get(job_id).status == "cancelled"
    assert points.latest(config.id) is None
    assert not list(repository.glob("snapshots/*"))
    assert not list(repository.glob("locks/*"))


def test_a_stop_of_the_process_is_interrupted_not_cancelled(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    attempt = attempts.claim(jobs.create_backup(config.id, "manual").id)
    assert attempt is not None
    attempt.stopped.set()
    job_kinds.perform(attempt)
    assert jobs.get(attempt.job_id).status == "interrupted"
    (alert,) = alerts.list_open()
    assert alert.kind == "interrupted"
    assert alert.what.startswith("The backup of Files was interrupted: its process was told to end")
    assert alert.what.count("interrupted") == 1


def test_a_snapshot_whose_job_was_killed_before_its_row_is_adopted(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    config_id = config.id
    killed = attempts.claim(jobs.create_backup(config_id, "manual").id)
    assert killed is not None
    snapshot_id = _store_without_row(config_id)
    with write() as session:
        session.get_one(Job, killed.job_id).status = "interrupted"
    back_up(config_id)
    newest, adopted = points.list_for(config_id)
    assert adopted.copies[0].snapshot_id == snapshot_id
    assert adopted.job_id == killed.job_id
    assert points.is_good(adopted)
    assert newest.parent_snapshot == snapshot_id


def test_foreign_snapshots_are_not_adopted(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree)
    restic(repository, "backup", "-q", str(tree))
    restic(repository, "backup", "-q", "--tag", "holdfast:config=0123456789abcdef", str(tree))
    back_up(config.id)
    assert len(db.session.scalars(select(Point)).all()) == 1


def test_a_snapshot_removed_by_somebody_else_is_noticed(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    first = points.latest(config.id)
    assert first is not None
    restic(repository, "forget", first.copies[0].snapshot_id)
    back_up(config.id)
    copy = db.session.scalars(select(Copy).where(Copy.point_id == first.id)).one()
    assert copy.lost_at is not None
    assert [alert.subject for alert in alerts.list_open()] == [f"lost:{config.id}"]


def test_a_retagged_snapshot_is_the_same_point(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    point = points.latest(config.id)
    assert point is not None
    restic(repository, "tag", "--add", "mine", point.copies[0].snapshot_id)
    back_up(config.id)
    assert len(points.list_for(config.id)) == 2
    assert not alerts.list_open()


def test_a_second_backup_of_a_config_is_refused_while_one_is_pending(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    job = jobs.create_backup(config.id, "manual")
    with pytest.raises(Conflict, match=f"job {job.id} is queued"):
        jobs.create_backup(config.id, "manual")


def test_the_apps_own_folders_are_left_out(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    make_tree(tmp_path / "tree")
    config = make_config(tmp_path)
    job = back_up(config.id)
    listing = restic(repository, "ls", "latest")
    assert str(tmp_path / "tree" / "sub" / "1.txt") in listing
    assert "holdfast.db" not in listing
    assert "/backups" not in listing
    told = [line.message for line in jobs.log_lines(job.id).items]
    assert told.count(f"Left out, as always: {tmp_path}/data (Holdfast's own data folder).") == 1
    assert told.count(f"Left out, as always: {tmp_path}/backups (a storage of Holdfast).") == 1


def test_a_named_path_that_is_left_out_is_a_warning(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    with write() as session:  # as if the storage had come later than the config
        own = session.get_one(Config, config.id)
        own.source = {**own.source, "paths": [str(tmp_path / "tree"), str(tmp_path / "backups")]}
    job = back_up(config.id)
    assert (job.status, job.problems, job.counts["files_new"]) == ("warning", 1, 3)
    (line,) = jobs.log_lines(job.id, problems_only=True).items
    assert line.path == str(tmp_path / "backups")
    assert "a storage of Holdfast, which is never backed up" in line.message


def _store_without_row(config_id: str) -> str:
    """Do what a job does up to the snapshot, and nothing after it."""
    record = storages.list_repositories()[0]
    source = open_source(source_of(configs.get(config_id)))
    repo = storages.open_repository(record)
    with lock_repository(repo) as lock:
        result = backup(repo, source, BackupOptions(tags=[f"holdfast:config={config_id}"]), lock)
    repo.close()
    return result.snapshot_hex


def test_a_lost_pack_is_stored_anew_and_alerted(tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    tree = make_tree(tmp_path / "data-to-keep")
    config = make_config(tree)
    back_up(config.id)
    for pack in (repository / "data").glob("*/*"):
        pack.unlink()
    job = back_up(config.id)
    assert job.status == "completed"
    assert job.counts["files_changed"] + job.counts["files_new"] == 3
    (alert,) = [each for each in alerts.list_open() if each.kind == "corruption"]
    assert "2 pack files" in alert.what
    restic(repository, "rebuild-index")  # as the alert says; else restic goes on asking for what is lost
    # The earlier point may have lost for good what only it held, such as the former times of /tmp.
    restic(repository, "forget", "--keep-last", "1")
    restic(repository, "check", "--read-data")
    restic(repository, "restore", "latest", "--target", str(tmp_path / "out"))
    restored = tmp_path / "out" / tree.relative_to("/") / "sub" / "1.txt"
    assert restored.read_bytes() == (tree / "sub" / "1.txt").read_bytes()
    assert back_up(config.id).status == "completed"
    assert [each for each in alerts.list_open() if each.kind == "corruption"] == []


def test_a_storage_renamed_away_in_the_middle_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    monkeypatch.setattr(storages, "RETRY", RetryPolicy(attempts=1))
    job_id = jobs.create_backup(config.id, "manual").id
    attempt = attempts.claim(job_id)
    assert attempt is not None
    real = attempt.hold_lock

    def pull(lock_id: str) -> None:
        real(lock_id)
        (tmp_path / "backups").rename(tmp_path / "away")

    monkeypatch.setattr(type(attempt), "hold_lock", lambda _, lock_id: pull(lock_id))
    job_kinds.perform(attempt)
    job = jobs.get(job_id)
    gone = f"its folder {tmp_path / 'backups'} is not there; is its disk mounted?"
    assert (job.status, job.summary) == ("failed", f"The storage Local disk is unreachable: {gone}")
    assert "unreachable" in {alert.kind for alert in alerts.list_open()}
    assert states.verdict().reasons[0].text == f"Local disk is unreachable: {gone}"
    assert not (tmp_path / "backups").exists()
