"""Points that no config looks after leave by an admin's hand only, and can be taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.configs import configs
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound, Refused
from core.jobs import jobs
from core.models import Config, Copy, Point
from core.points import points
from core.restores import restores
from core.retention import point_removal, retention, trash, trash_contents
from core.storages import storage_edit, storage_uses
from tests.core.backups.test_copying import add_disk
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def deleted(tmp_path: Path) -> Config:
    """Return a config that was deleted, with three points on the first storage."""
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"), "Old")
    for number in range(3):
        (tmp_path / "tree" / "more").write_text(f"{number}")
        back_up(config.id)
    for job_id in jobs.queued_followers(config.id):
        jobs.request_cancel(job_id)
    configs.delete(config.id)
    return configs.get(config.id, deleted=True)


def clean_up() -> None:
    assert run(jobs.create_retention("manual")).status == "completed"


def age_trash() -> None:
    """Let all that lies in the trash lie there for seven days."""
    with write() as session:
        for copy in session.query(Copy).where(Copy.trashed_at.is_not(None)):
            copy.trashed_at = utc_now() - retention.TRASH_FOR - timedelta(minutes=1)


def test_they_lie_in_the_trash_then_their_snapshots_go(deleted: Config, tmp_path: Path) -> None:
    chosen = point_removal.choose()
    assert len(chosen) == 3
    removal = point_removal.look(chosen)
    assert (len(removal.leaving), removal.only, list(removal.braked)) == (3, 3, ["Old"])
    point_removal.remove(chosen, "anna", confirmed=True)
    assert point_removal.choose() == []
    clean_up()
    assert len(points.list_for(deleted.id)) == 3  # still in the trash, the last one too
    assert not any(points.is_good(point) for point in points.list_for(deleted.id))
    age_trash()
    clean_up()
    assert points.list_for(deleted.id) == []
    assert restic(tmp_path / "backups" / "repository", "snapshots", "--json").strip() == "[]"


def test_until_then_they_are_taken_back(deleted: Config) -> None:
    first, *_ = chosen = point_removal.choose()
    point_removal.remove([first], "anna")
    assert point_removal.choose() == chosen[1:]
    assert "removed by anna" in points.get(first).copies[0].trash_reason
    trash_contents.take_out_points([first], "anna")
    assert point_removal.choose() == chosen


def test_more_than_half_needs_a_confirmation_and_nothing_goes_without(deleted: Config) -> None:
    chosen = point_removal.choose()
    with pytest.raises(Conflict, match="more than half of the points of Old"):
        point_removal.remove(chosen[:2], "anna")
    assert point_removal.choose() == chosen


def test_points_of_a_config_that_is_there_stay(deleted: Config, tmp_path: Path) -> None:
    live = make_config(tmp_path / "tree", "Live")
    back_up(live.id)
    point = points.latest(live.id)
    assert point is not None
    assert point.id not in point_removal.choose()
    with pytest.raises(Refused, match="belongs to Live"):
        point_removal.remove([point.id], "anna")
    mixed = point_removal.remove([point.id, point_removal.choose()[0]], "anna")
    assert (len(mixed.leaving), len(mixed.staying)) == (1, 1)
    assert points.is_good(points.get(point.id))


def test_what_a_restore_reads_stays(deleted: Config, tmp_path: Path) -> None:
    point_id = point_removal.choose()[0]
    job = restores.create(restores.RestoreInput(point_id=point_id, target_path=str(tmp_path / "out")))
    with pytest.raises(Refused, match=f"job {job.id} restores from point {point_id}"):
        point_removal.remove([point_id], "anna")


def test_what_is_pinned_stays(deleted: Config) -> None:
    point_id = point_removal.choose()[0]
    with write() as session:
        session.get_one(Point, point_id).pinned_at = utc_now()
    with pytest.raises(Refused, match=f"point {point_id} is pinned"):
        point_removal.remove([point_id], "anna")


def test_nothing_is_taken_out_of_the_trash_to_rescue_what_a_person_put_there(deleted: Config) -> None:
    point_removal.remove(point_removal.choose(), "anna", confirmed=True)
    with write() as session:
        copy = session.query(Copy).first()
        assert copy is not None
        copy.damaged_at = utc_now()
    age_trash()
    trash.rescue(deleted.id)
    clean_up()
    assert points.list_for(deleted.id) == []


def test_points_that_are_none_are_not_found() -> None:
    with pytest.raises(NotFound):
        point_removal.look([12345])


def test_a_storage_that_holds_nothing_else_can_be_deleted_then(deleted: Config, tmp_path: Path) -> None:
    storage_id = db.session.get_one(Copy, 1).repository.storage_id
    add_disk(tmp_path, "second")
    assert any("only copy of 3 points" in reason for reason in storage_uses.why_not_delete(storage_id))
    point_removal.remove(point_removal.choose(), "anna", confirmed=True)
    assert storage_uses.why_not_delete(storage_id) == []
    assert storage_uses.alone_on(storage_id).in_trash == 3
    storage_edit.delete(storage_id)
