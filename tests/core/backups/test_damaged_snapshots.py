"""A snapshot file that cannot be read counts for nothing, and no other goes because of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.configs import states
from core.db import db, write
from core.jobs import jobs
from core.models import Copy, Job
from core.points import points
from repository import locks
from tests.core.making import back_up, make_config, make_storage, make_tree, run


@pytest.fixture
def config_id(tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a config that keeps one point, and has two."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    make_storage(tmp_path)
    config_id = make_config(make_tree(tmp_path / "tree"), retention={"days": None, "max_backups": 1}).id
    back_up(config_id)
    back_up(config_id)
    return config_id


@pytest.fixture
def spoil(config_id: str, tmp_path: Path) -> Callable[[], None]:
    """Return a function that flips a byte of the newest snapshot; again, and it is whole."""
    newest = points.list_for(config_id)[0].copies[0].snapshot_id
    file = tmp_path / "backups" / "repository" / "snapshots" / newest

    def flip() -> None:
        data = bytearray(file.read_bytes())
        data[40] ^= 1
        file.chmod(0o600)
        file.write_bytes(data)

    return flip


def clean(config_id: str) -> Job:
    """Run retention once."""
    return run(jobs.create_retention("manual", config_id))


def test_it_is_not_the_last_good_point_and_the_readable_one_stays(
    config_id: str, spoil: Callable[[], None]
) -> None:
    newest, older = [point.id for point in points.list_for(config_id)]
    spoil()
    assert clean(config_id).counts["trashed"] == 0
    assert [point.id for point in points.good_points(config_id)] == [older]
    assert len(points.list_for(config_id)) == 2
    back_up(config_id)  # now a good one is newer than both, and still nothing goes
    assert clean(config_id).counts["trashed"] == 0
    assert not points.is_good(points.get(newest))


def test_once_it_can_be_read_again_all_goes_on(config_id: str, spoil: Callable[[], None]) -> None:
    newest, _ = [point.id for point in points.list_for(config_id)]
    spoil()
    clean(config_id)
    spoil()
    assert clean(config_id).counts["trashed"] == 1
    assert [point.id for point in points.good_points(config_id)] == [newest]
    assert not alerts.list_open()


def test_a_damaged_copy_is_read_last_and_not_taken_out_of_the_trash(
    config_id: str, spoil: Callable[[], None]
) -> None:
    newest, older = [point.id for point in points.list_for(config_id)]
    with write() as session:
        for copy in session.scalars(select(Copy)):
            copy.trashed_at = copy.created_at
    spoil()
    clean(config_id)
    assert [point.id for point in points.good_points(config_id)] == [older]
    assert points.best_copy(points.get(newest)).damaged_at is not None


def test_the_verdict_is_not_good_while_an_error_is_open(config_id: str, spoil: Callable[[], None]) -> None:
    assert states.verdict().level == "good"
    spoil()
    back_up(config_id)
    found = states.verdict()
    db.session.rollback()
    assert (found.level, found.sentence) == ("attention", "1 storage needs you.")
    assert ["damaged" in reason.text for reason in found.reasons] == [True]
