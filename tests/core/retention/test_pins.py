"""What a person pins stays; what went to the trash can be had back, and does not go there again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core.configs import configs
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, Refused
from core.jobs import attempts, job_deletion, jobs
from core.models import Config, Copy, Destination, Point
from core.points import points
from core.retention import pins, point_removal, retention, trash, trash_contents
from core.storages import storage_setup
from repository import locks
from tests.core.making import back_up, make_config, make_storage, make_tree, run


@pytest.fixture
def config_id(tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a config with five points, a day apart, of which the rule keeps the newest three."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"), retention={"max_backups": None, "days": None}).id
    for _ in range(5):
        back_up(made)
    with write() as session:
        for age, point in enumerate(session.scalars(select(Point).order_by(Point.id.desc())).all()):
            point.taken_at = utc_now() - timedelta(days=age)
        session.get_one(Config, made).retention = {"days": None, "max_backups": 3}
    return made


def clean(config_id: str) -> dict[str, int]:
    """Run retention; return what it counted."""
    job = run(jobs.create_retention("manual", config_id))
    assert job.status == "completed", job.summary
    return job.counts


def good(config_id: str) -> list[int]:
    """Return the ids of the good points."""
    db.session.rollback()
    return [point.id for point in points.good_points(config_id)]


def trashed() -> list[Copy]:
    """Return what is in the trash."""
    return list(trash_contents.contents().items)


def age_trash(age: timedelta) -> None:
    """Let what is in the trash lie there for so long already."""
    with write() as session:
        for copy in session.scalars(select(Copy).where(Copy.trashed_at.is_not(None))):
            copy.trashed_at = utc_now() - age


def test_a_pinned_point_stays_and_says_why(config_id: str) -> None:
    oldest = good(config_id)[-1]
    pins.pin(oldest, "  before the\nmigration ", "anna")
    assert clean(config_id)["trashed"] == 1
    assert oldest in good(config_id)
    reasons = {each.point.id: each.reason for each in retention.plan(db.session.get_one(Config, config_id))}
    assert reasons[oldest] == "pinned by anna: before the migration"
    pins.unpin(oldest)
    assert clean(config_id)["trashed"] == 1
    assert oldest not in good(config_id)


def test_a_point_pinned_after_it_was_decided_is_not_thrown_in(config_id: str) -> None:
    oldest = points.get(good(config_id)[-1])
    repository_id = oldest.copies[0].repository_id
    pins.pin(oldest.id, "", "anna")
    assert trash.throw_in(repository_id, {oldest.id: "decided before"}) == 0


def test_a_pin_asks_for_no_further_copies(config_id: str, tmp_path: Path) -> None:
    """It keeps what is there; a second destination gets only what its own rule keeps."""
    second = storage_setup.create_local("Second", str(tmp_path / "second"), "another password")
    oldest = good(config_id)[-1]
    pins.pin(oldest, "", "anna")
    destination = Destination(repository_id=second.repositories[0].id, retention={"max_backups": 1})
    wanted = retention.wanted(destination, points.good_points(config_id))
    assert [point.id for point in wanted] == good(config_id)[:1]


def test_what_is_not_there_cannot_be_pinned(config_id: str) -> None:
    oldest = good(config_id)[-1]
    clean(config_id)
    with pytest.raises(Refused, match="in the trash"):
        pins.pin(oldest, "", "anna")
    with write() as session:
        for copy in session.scalars(select(Copy).where(Copy.point_id == oldest)):
            copy.lost_at = utc_now()
    with pytest.raises(Refused, match="nothing to keep"):
        pins.pin(oldest, "", "anna")
    with pytest.raises(Invalid):
        pins.pin(good(config_id)[0], "x" * 201, "anna")


def test_what_is_taken_out_of_the_trash_does_not_go_back(config_id: str) -> None:
    before = good(config_id)
    clean(config_id)
    assert [copy.point_id for copy in trashed()] == [before[-2], before[-1]]
    (taken,) = trash_contents.take_out([trashed()[-1].id], "otto")
    assert (taken.id, taken.pinned_by, taken.pin_note) == (before[-1], "otto", trash_contents.NOTE)
    assert clean(config_id)["trashed"] == 0
    age_trash(timedelta(days=8))
    assert clean(config_id)["removed"] == 1
    assert good(config_id) == [*before[:3], before[-1]]


def test_what_left_the_trash_cannot_be_had_back(config_id: str) -> None:
    clean(config_id)
    ids = [copy.id for copy in trashed()]
    age_trash(timedelta(days=8))
    clean(config_id)
    with pytest.raises(Refused, match="not in the trash any more"):
        trash_contents.take_out(ids, "otto")
    with pytest.raises(Refused, match="Not in the trash"):
        trash_contents.take_out_points([good(config_id)[0]], "otto")


def test_nothing_is_taken_out_while_it_is_being_removed(config_id: str) -> None:
    """Before its time is over that cannot be, and after it only while no clean-up runs."""
    clean(config_id)
    job_id = jobs.create_retention("manual", config_id).id
    assert attempts.claim(job_id) is not None
    first, second = (copy.id for copy in trashed())
    trash_contents.take_out([first], "otto")
    age_trash(timedelta(days=7, seconds=1))
    with pytest.raises(Conflict, match=f"job {job_id} is emptying"):
        trash_contents.take_out([second], "otto")


def test_the_trash_says_until_when_it_keeps(config_id: str) -> None:
    clean(config_id)
    copy = trashed()[0]
    assert copy.trashed_at is not None
    assert trash_contents.goes_at(copy) == copy.trashed_at + timedelta(days=7)
    assert trash_contents.count(config_id) == trash_contents.count() == 2
    assert trash_contents.count("another") == 0


def test_the_brake_lets_pass_what_was_confirmed_and_no_more(config_id: str) -> None:
    with write() as session:
        session.get_one(Config, config_id).retention = {"days": None, "max_backups": 1}
    job = run(jobs.create_retention("manual", config_id, confirmed=True, most=3))
    assert (job.status, len(good(config_id))) == ("warning", 5)
    job = run(jobs.create_retention("manual", config_id, confirmed=True, most=4))
    assert (job.status, len(good(config_id))) == ("completed", 1)


def test_no_other_hand_removes_what_is_pinned(config_id: str) -> None:
    first, second = (points.get(point_id) for point_id in good(config_id)[-2:])
    pins.pin(first.id, "", "anna")
    with pytest.raises(Conflict, match="is pinned"):
        job_deletion.delete(first.job_id or 0)
    for job_id in jobs.queued_followers(config_id):
        jobs.request_cancel(job_id)
    configs.delete(config_id)
    with pytest.raises(Refused, match="is pinned"):
        point_removal.remove([first.id], "anna")
    assert job_deletion.trash_all_of(config_id) == 4
    assert good(config_id) == [first.id]
    assert not points.is_good(points.get(second.id))


def test_what_the_rule_keeps_by_now_is_not_thrown_in(config_id: str) -> None:
    points_now = good(config_id)
    repository_id = points.get(points_now[0]).copies[0].repository_id
    reasons = dict.fromkeys(points_now, "decided before another job trashed the others")
    leaving = [each for each in retention.plan(db.session.get_one(Config, config_id)) if not each.keep]
    assert trash.throw_in(repository_id, reasons, config_id) == len(leaving) > 0
    assert trash.throw_in(repository_id, reasons, config_id) == 0
