"""A copy counts only while it is there: looks in between, places that forget, snapshots that come back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.backups import copy_job, copying
from core.configs import configs
from core.db import db, utc_now, write
from core.jobs import jobs
from core.models import Config, Copy, Job
from core.points import browse, opened, points
from core.points.reconcile import reconcile
from core.retention import retention, trash
from core.storages import providers, storage_edit, storage_uses, storages
from tests.core.backups.test_copying import copy_jobs, two
from tests.core.making import back_up, run

pytestmark = pytest.mark.usefixtures("context")

__all__ = ("two",)  # a fixture


def fill_but_before_it_is_verified(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[], None]) -> Job:
    """Run the copy that waits; `spoil` is called when it has stored all and looks at it once more."""
    real = copy_job._verify

    def verify(*given: Any) -> None:
        spoil()
        real(*given)

    monkeypatch.setattr(copy_job, "_verify", verify)
    return run(copy_jobs()[0])


def test_a_copy_that_the_storage_does_not_list_counts_no_longer(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    folder = tmp_path / "second" / "repository" / "snapshots"
    job = fill_but_before_it_is_verified(monkeypatch, lambda: shutil.rmtree(folder))
    assert (job.status, "does not count as copied" in job.summary) == ("failed", True)
    assert len(points.list_for(two.id)[0].copies) == 1


def test_a_copy_that_cannot_be_read_once_more_counts_no_longer(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    folder = tmp_path / "second" / "repository" / "data"
    job = fill_but_before_it_is_verified(monkeypatch, lambda: shutil.rmtree(folder))
    assert job.status == "failed"
    assert len(points.list_for(two.id)[0].copies) == 1
    run(jobs.create_retention("manual"))
    assert len(points.list_for(two.id)[0].copies) == 1  # nor is it adopted after


def test_a_look_at_a_new_place_while_it_is_filled_does_not_disturb(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    shutil.rmtree(tmp_path / "backups")
    storage = storages.get_repository(two.destinations[0].repository_id).storage
    storage_id, repository_id = storage.id, two.destinations[0].repository_id
    form = providers.to_form(storage) | {"path": str(tmp_path / "fresh")}
    (queued,) = storage_edit.replace_lost(storage_id, providers.parse(form, storage))
    real = copy_job.read_back

    def read_back_while_another_looks(*given: Any) -> Any:
        other = storages.open_repository(storages.get_repository(repository_id))
        reconcile(other, storages.get_repository(repository_id))
        other.close()
        return real(*given)

    monkeypatch.setattr(copy_job, "read_back", read_back_while_another_looks)
    job = run(queued)
    assert (job.status, job.counts.get("copied")) == ("completed", 1), job.detail
    copies = points.list_for(two.id)[0].copies
    assert sorted(points.is_live(copy) for copy in copies) == [False, True, True]


def test_a_forgotten_snapshot_that_came_back_counts_again(two: Config, tmp_path: Path) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    with write() as session:
        there = session.scalars(select(Copy).order_by(Copy.id)).all()[1]
        there.trashed_at = there.forgotten_at = utc_now()  # the disk was put back as it was before
    job = run(copying.sync(configs.get(two.id).destinations[1].id))
    assert job.status == "completed", job.summary
    assert [points.is_live(copy) for copy in points.list_for(two.id)[0].copies] == [True, True]


def throw_away(config_id: str, repository_id: str) -> int:
    """Let the oldest point's copy on a repository lie in the trash for long enough; return the copy."""
    copy = points.live_copy_on(points.list_for(config_id)[-1], repository_id)
    assert copy is not None
    with write() as session:
        session.get_one(Copy, copy.id).trashed_at = utc_now() - retention.TRASH_FOR - timedelta(hours=1)
    return copy.id


def test_what_is_taken_out_of_the_trash_at_the_last_moment_is_not_forgotten(
    two: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_id, repository_id = two.id, two.destinations[0].repository_id
    back_up(config_id)
    back_up(config_id)
    copy_id = throw_away(config_id, repository_id)

    def take_out(_: object) -> None:
        """Do, before the lock is there, what a copy does that held it until then."""
        with write() as session:
            session.get_one(Copy, copy_id).trashed_at = None

    monkeypatch.setattr(trash, "remove_dead_locks", take_out)
    job = run(jobs.create_retention("manual"))
    assert (job.status, job.counts["removed"]) == ("completed", 0)
    repo = storages.open_repository(storages.get_repository(repository_id))
    assert len(list(repo.files.list("snapshots"))) == 2
    repo.close()


def test_what_lies_in_the_trash_stays_while_its_other_copy_is_out_of_reach(
    two: Config, tmp_path: Path
) -> None:
    back_up(two.id)
    back_up(two.id)
    run(copy_jobs()[0])
    copy_id = throw_away(two.id, two.destinations[0].repository_id)
    (tmp_path / "second").rename(tmp_path / "away")
    storages.check_all()
    run(jobs.create_retention("manual"))
    with write() as session:
        assert session.get_one(Copy, copy_id).forgotten_at is None
    (tmp_path / "away").rename(tmp_path / "second")
    storages.check_all()
    assert run(jobs.create_retention("manual")).counts["removed"] == 1


def test_a_storage_whose_points_are_else_only_out_of_reach_is_not_deleted(
    two: Config, tmp_path: Path
) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    second_id = two.destinations[1].repository.storage_id
    data = configs.to_input(configs.get(two.id))
    configs.update(two.id, data.model_copy(update={"destinations": data.destinations[:1]}))
    assert storage_uses.why_not_delete(second_id) == []
    (tmp_path / "backups").rename(tmp_path / "away")
    storages.check_all()
    db.session.rollback()  # as a request begins
    (reason,) = storage_uses.why_not_delete(second_id)
    assert "all on Local disk, which cannot be reached" in reason


def test_looking_goes_on_at_the_other_copy_when_the_storage_dies_after_it_was_opened(
    two: Config, tmp_path: Path
) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    opened.forget_all()
    point = points.list_for(two.id)[0]
    path = os.fsencode(tmp_path / "tree")
    browse.list_dir(point)
    (tmp_path / "backups").rename(tmp_path / "away")
    assert [row.name for row in browse.list_dir(point, path)] == ["sub"]
    assert b"".join(browse.read_file(point, path + b"/sub/1.txt")[1]).startswith(b"content 1")
    opened.forget_all()


def test_a_source_that_goes_away_half_way_is_named_and_so_is_what_came_out_of_the_trash(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    back_up(two.id)
    real = copy_job._add_row

    def add_and_unplug(*given: Any) -> None:
        real(*given)
        (tmp_path / "backups").rename(tmp_path / "away")

    with monkeypatch.context() as fault:
        fault.setattr(copy_job, "_add_row", add_and_unplug)
        job = run(copy_jobs()[0])
    assert (job.status, job.counts["copied"]) == ("warning", 1)
    assert "copied 1 point from Local disk" in job.summary
    (tmp_path / "away").rename(tmp_path / "backups")
    storages.check_all()
    with write() as session:
        for copy in session.scalars(select(Copy)):
            copy.trashed_at = utc_now() if copy.repository.storage.name == "second" else None
    run(copying.sync(two.destinations[1].id))
    with write() as session:
        for copy in session.scalars(select(Copy)):
            copy.trashed_at = utc_now() if copy.repository.storage.name == "second" else None
    job = run(copying.sync(two.destinations[1].id))
    assert job.summary == "Took 2 points out of the trash on second."
