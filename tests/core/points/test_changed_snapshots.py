"""A snapshot that another program stored anew: the same point only if it holds the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.db import db, utc_now, write
from core.jobs import jobs
from core.models import Config, Copy, Destination
from core.points import browse, opened, points
from core.points.downloads import Download
from core.restores import restores
from core.retention import pins
from core.storages import storages
from repository.errors import Damaged
from repository.lookup import load_tree
from tests.core.making import back_up, make_config, make_storage, make_tree, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """Return a config that has one point."""
    opened.forget_all()
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"))
    back_up(made.id)
    yield made
    opened.forget_all()


def store_anew(config: Config, *, other_files: bool, place: int = 0) -> str:
    """Store the snapshot of a point anew and forget the old one; return the new id. `place`: 0 the newest."""
    point = points.list_for(config.id)[place]
    old = bytes.fromhex(point.copies[0].snapshot_id)
    with closing(storages.open_repository(storages.list_repositories()[0])) as repo:
        repo.load_index()
        snapshot = repo.load_snapshot(old)
        tree = load_tree(repo, snapshot.tree)[0].subtree if other_files else snapshot.tree
        assert tree is not None
        new = repo.save_snapshot(replace(snapshot, tree=tree, original=old, tags=[*snapshot.tags, "mine"]))
        repo.remove_snapshot(old)
    return new.hex()


def test_a_snapshot_of_other_files_is_another_point_and_the_first_is_lost(config: Config) -> None:
    first = points.latest(config.id)
    assert first is not None
    new_id = store_anew(config, other_files=True)
    run(jobs.create_retention("manual", config.id))
    (gone,) = db.session.scalars(select(Copy).where(Copy.point_id == first.id))
    assert (gone.lost_at is not None, gone.snapshot_id != new_id) == (True, True)
    (adopted,) = points.list_for(config.id)
    assert (adopted.id != first.id, adopted.copies[0].snapshot_id) == (True, new_id)
    assert adopted.pinned_at is None
    assert [alert.subject for alert in alerts.list_open()] == [f"lost:{config.id}"]


def test_a_snapshot_of_the_same_files_is_the_same_point(config: Config) -> None:
    first = points.latest(config.id)
    assert first is not None
    new_id = store_anew(config, other_files=False)
    run(jobs.create_retention("manual", config.id))
    (same,) = points.list_for(config.id)
    assert (same.id, same.copies[0].snapshot_id, same.copies[0].lost_at) == (first.id, new_id, None)
    assert not alerts.list_open()


def keep_only_the_newest(config: Config) -> None:
    with write() as session:
        session.scalars(select(Destination)).one().retention = {"days": None, "max_backups": 1}


def test_what_is_left_of_a_pinned_point_stays_pinned_and_no_rule_removes_it(config: Config) -> None:
    first = points.latest(config.id)
    assert first is not None
    pinned_at = pins.pin(first.id, "before the move", "Ada").pinned_at
    keep_only_the_newest(config)
    store_anew(config, other_files=True)
    run(jobs.create_retention("manual", config.id))
    (left,) = points.list_for(config.id)
    assert (left.id != first.id, left.pinned_at) == (True, pinned_at)
    assert (left.pinned_by, left.pin_note) == ("Ada", "before the move")
    back_up(config.id)
    run(jobs.create_retention("manual", config.id))
    assert len(points.good_points(config.id)) == 2


def test_what_is_taken_over_is_not_trashed_by_the_very_run_that_found_it(config: Config) -> None:
    back_up(config.id)
    back_up(config.id)
    keep_only_the_newest(config)
    for place in (1, 2):
        store_anew(config, other_files=True, place=place)
    assert run(jobs.create_retention("manual", config.id)).counts["trashed"] == 0
    assert len(points.good_points(config.id)) == 3
    assert run(jobs.create_retention("manual", config.id)).counts["trashed"] == 1


def test_what_lies_in_the_trash_is_not_given_back_and_does_not_count_again(config: Config) -> None:
    first = points.latest(config.id)
    assert first is not None
    new_id = store_anew(config, other_files=True)
    with write() as session:  # as earlier versions did, and then thrown away
        row = session.scalars(select(Copy)).one()
        row.snapshot_id, row.trashed_at = new_id, utc_now()
    back_up(config.id)
    run(jobs.create_retention("manual", config.id))
    (trashed,) = db.session.scalars(select(Copy).where(Copy.point_id == first.id))
    assert (trashed.snapshot_id, points.is_in_trash(trashed)) == (new_id, True)
    assert len(points.list_for(config.id)) == 2
    assert not alerts.list_open()


def test_a_copy_of_other_files_is_neither_shown_nor_restored(config: Config, tmp_path: Path) -> None:
    new_id = store_anew(config, other_files=True)
    with write() as session:  # as earlier versions did
        session.scalars(select(Copy)).one().snapshot_id = new_id
    point = points.latest(config.id)
    assert point is not None
    with pytest.raises(Damaged, match="not that of point"):
        browse.list_dir(point, b"/")
    with pytest.raises(Damaged, match="not that of point"):
        browse.stream_folder(point, b"/", "tar")
    (tmp_path / "out").mkdir()
    given = restores.validate({"point_id": point.id, "target_path": str(tmp_path / "out")})
    job = run(restores.create(given))
    assert (job.status, list((tmp_path / "out").iterdir())) == ("failed", []), job.summary


@pytest.mark.parametrize(("second", "whole"), [(b"abcdefgh", True), (b"abcd", True), (b"abc", False)])
def test_a_download_that_goes_on_where_less_is_does_not_end_as_if_whole(
    config: Config, second: bytes, whole: bool
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"abcd"
        raise Damaged("in the middle")

    with closing(storages.open_repository(storages.list_repositories()[0])) as repo:
        other = iter([lambda: (repo, lambda: iter([second]))])
        download = Download(repo, broken, other)
        if whole:
            assert b"".join(download) == second
        else:
            with pytest.raises(Damaged, match="in the middle"):
                list(download)
