"""Points stay by the rule, leave through the trash, and never because of a lie about the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from core import clock
from core.alerting import alerts, clock_watch, job_alerts
from core.configs import configs
from core.db import utc_now, write
from core.errors import Refused
from core.jobs import attempts, jobs
from core.jobs.outcomes import Outcome
from core.models import Config, Copy, Job, Point
from core.points import points
from core.retention import cleanup, retention
from core.retention.retention import Rule
from core.storages import storage_setup, storages
from repository import locks
from repository.locks import lock_repository
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def make_points(ages_days: list[float]) -> list[Point]:
    """Return points taken so many days ago, newest first."""
    taken = sorted((NOW - timedelta(days=age) for age in ages_days), reverse=True)
    return [Point(id=len(taken) - place, taken_at=at) for place, at in enumerate(taken)]


def kept(ages_days: list[float], rule: Rule) -> list[int]:
    """Return the numbers of the points kept, the newest being 1."""
    decisions = retention.decide(make_points(ages_days), rule, NOW)
    return [number for number, decision in enumerate(decisions, 1) if decision.keep]


def test_the_newest_within_days_are_kept() -> None:
    assert kept([0, 1, 2, 3, 10, 20], Rule(days=5, max_backups=3)) == [1, 2, 3]
    assert kept([0, 1, 2, 3, 10, 20], Rule(days=10, max_backups=None)) == [1, 2, 3, 4, 5]
    assert kept([0, 1, 2, 3, 10, 20], Rule(days=None, max_backups=2)) == [1, 2]
    assert kept([0, 1, 2], Rule(days=None, max_backups=None)) == [1, 2, 3]


def test_days_count_back_from_the_newest_point_so_a_dead_source_loses_nothing() -> None:
    assert kept([400, 401, 402], Rule(days=7, max_backups=None)) == [1, 2, 3]


def test_every_decision_has_a_reason() -> None:
    decisions = retention.decide(make_points([0, 1, 9, 2]), Rule(days=5, max_backups=2), NOW)
    reasons = [each.reason for each in decisions]
    assert reasons == [
        "the last good point is always kept",
        "within 5 days of the newest point and number 2 of at most 2",
        "not among the newest 2 points",
        "more than 5 days older than the newest point",
    ]


@given(
    st.lists(st.floats(0, 5000), max_size=40),
    st.one_of(st.none(), st.integers(1, 400)),
    st.one_of(st.none(), st.integers(1, 50)),
)
def test_the_last_good_point_stays_and_no_limit_is_passed(
    ages: list[float], days: int | None, most: int | None
) -> None:
    found = kept(ages, Rule(days, most))
    assert (found[:1] == [1]) == bool(ages)
    assert most is None or len(found) <= most
    assert found == sorted(found)  # nothing newer is removed while something older stays


@pytest.mark.parametrize(
    ("removed", "total", "braked"),
    [(1, 1, False), (2, 4, False), (2, 3, True), (3, 4, True), (4, 8, False), (4, 7, True), (6, 10, True)],
)
def test_the_brake_holds_when_more_than_half_go(removed: int, total: int, braked: bool) -> None:
    assert retention.is_braked(removed, total) is braked


@pytest.fixture
def many(tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a config with eight points, a day apart, of which the rule keeps all."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)  # nobody else is there; it is a fifth of a second a backup
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"), retention={"days": None, "max_backups": None})
    config_id = config.id
    for _ in range(8):
        back_up(config_id)
    with write() as session:
        every = session.scalars(select(Point).order_by(Point.id.desc())).all()
        for age, point in enumerate(every):
            point.taken_at = utc_now() - timedelta(days=age)
        session.execute(Job.__table__.delete().where(Job.kind == "retention"))
    return config_id


def set_rule(config_id: str, **rule: int) -> None:
    """Give a config another rule, past the form."""
    with write() as session:
        session.get_one(Config, config_id).retention = rule


def clean(config_id: str | None, *, confirmed: bool = False) -> Job:
    """Run retention once."""
    return run(jobs.create_retention("manual", config_id, confirmed=confirmed))


def age_trash(days: float) -> None:
    """Let everything in the trash lie there for some days already."""
    with write() as session:
        for copy in session.scalars(select(Copy).where(Copy.trashed_at.is_not(None))):
            copy.trashed_at = utc_now() - timedelta(days=days)


def test_points_go_to_the_trash_and_their_snapshots_stay_for_seven_days(many: str, tmp_path: Path) -> None:
    set_rule(many, max_backups=6)
    job = clean(many)
    assert (job.status, job.counts["trashed"], job.counts["removed"]) == ("completed", 2, 0)
    assert len(points.good_points(many)) == 6
    assert len(points.list_for(many)) == 8
    age_trash(6.9)
    assert clean(many).counts["removed"] == 0
    assert len(list((tmp_path / "backups" / "repository" / "snapshots").iterdir())) == 8


def test_after_seven_days_the_trash_is_emptied(many: str, tmp_path: Path) -> None:
    repository = tmp_path / "backups" / "repository"
    set_rule(many, max_backups=6)
    clean(many)
    age_trash(7.1)
    job = clean(many)
    assert (job.status, job.counts["removed"]) == ("completed", 2)
    assert len(list((repository / "snapshots").iterdir())) == 6
    assert len(points.list_for(many)) == 6
    assert not list((repository / "locks").iterdir())
    restic(repository, "check")
    assert not alerts.list_open()


def test_the_trash_can_still_be_restored(many: str) -> None:
    set_rule(many, max_backups=6)
    clean(many)
    oldest = points.list_for(many)[-1]
    assert not points.is_good(oldest)
    assert points.best_copy(oldest).trash_reason == "not among the newest 6 points"


def test_foreign_snapshots_are_never_touched(many: str, tmp_path: Path) -> None:
    repository = tmp_path / "backups" / "repository"
    restic(repository, "backup", "-q", "--time", "2001-01-01 00:00:00", str(tmp_path / "tree"))
    set_rule(many, max_backups=6)
    clean(many)
    age_trash(8)
    clean(many)
    assert "2001-01-01" in restic(repository, "snapshots")


def test_the_brake_stops_and_alerts_until_confirmed(many: str) -> None:
    set_rule(many, max_backups=2)
    job = clean(many)
    assert (job.status, len(points.good_points(many))) == ("warning", 8)
    assert any("6 of 8 points" in alert.what for alert in alerts.list_open())
    assert clean(many, confirmed=True).status == "completed"
    assert len(points.good_points(many)) == 2
    assert not alerts.list_open()


def test_the_preview_says_what_would_go(many: str) -> None:
    shown = retention.preview(configs.get(many), Rule(days=None, max_backups=3))
    assert (shown.removed, shown.kept, shown.braked) == (5, 3, True)
    assert shown.oldest_before is not None
    assert shown.oldest_after is not None
    assert shown.oldest_after > shown.oldest_before
    assert len(points.good_points(many)) == 8


def test_the_last_point_is_taken_out_of_the_trash_when_no_other_is_left(many: str, tmp_path: Path) -> None:
    set_rule(many, max_backups=7)
    clean(many)
    repository = tmp_path / "backups" / "repository"
    for point in points.good_points(many):
        restic(repository, "forget", point.copies[0].snapshot_id)
    age_trash(30)
    job = clean(many)
    assert job.counts["removed"] == 0
    assert len(points.good_points(many)) == 1
    assert len(list((repository / "snapshots").iterdir())) == 1


@pytest.mark.parametrize("deleted", [True, False])
def test_the_last_point_of_another_config_is_not_emptied_with_the_trash(
    many: str, tmp_path: Path, deleted: bool
) -> None:
    other = make_config(make_tree(tmp_path / "other"), "Other").id
    set_rule(many, max_backups=7)
    clean(many)
    with write():
        for point in points.good_points(many):
            point.copies[0].forgotten_at = utc_now()
            (tmp_path / "backups" / "repository" / "snapshots" / point.copies[0].snapshot_id).unlink()
    if deleted:
        configs.delete(many)
    age_trash(30)
    assert clean(other).counts["removed"] == 0
    assert len(points.good_points(many)) == 1


def test_a_clock_that_jumped_stops_retention(many: str) -> None:
    set_rule(many, max_backups=6)
    assert clock.jump() is None
    now = clock.read()
    clock.accept(clock.Reading(now.wall - timedelta(days=3), now.since_boot_s, now.boot_id))
    job = clean(many)
    assert job.status == "failed"
    assert "set forward by 72 hours" in job.summary
    assert len(points.good_points(many)) == 8
    clock_watch.watch()
    assert "clock" in [alert.subject for alert in alerts.list_open()]
    clock.accept()
    clock_watch.watch()
    assert "clock" not in [alert.subject for alert in alerts.list_open()]
    assert clean(many).status == "completed"


@pytest.mark.usefixtures("context")
class TestClock:
    """Reading two clocks."""

    def test_a_sleeping_machine_is_no_jump(self) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        assert clock.jump(clock.Reading(NOW + timedelta(days=9), 100.0 + 9 * 86400, "boot")) is None

    def test_a_clock_set_back_over_a_restart_is_noticed(self) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        assert clock.jump(clock.Reading(NOW - timedelta(days=2), 5.0, "another")) == -timedelta(days=2)
        assert clock.jump(clock.Reading(NOW + timedelta(days=200), 5.0, "another")) is None

    def test_a_clock_far_ahead_after_a_restart_is_trusted_after_an_hour(self) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        ahead = NOW + timedelta(days=200)
        for since_boot_s, settles in ((5.0, True), (3599.0, True), (3600.0, False), (3601.0, False)):
            now = clock.Reading(ahead, since_boot_s, "another")
            assert clock.jump(now) is None
            assert clock.is_settling(now) is settles

    def test_while_it_settles_nothing_is_removed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        monkeypatch.setattr(clock, "read", lambda: clock.Reading(NOW + timedelta(days=200), 5.0, "another"))
        with pytest.raises(Refused, match="has just begun"):
            clock.require_trusted("no point is removed")
        clock.accept()
        clock.require_trusted("no point is removed")

    def test_a_machine_that_was_off_for_a_night_does_not_wait(self) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        assert not clock.is_settling(clock.Reading(NOW + timedelta(hours=12), 5.0, "another"))

    def test_a_clock_set_right_again_is_trusted_again(self) -> None:
        clock.accept(clock.Reading(NOW, 100.0, "boot"))
        assert clock.jump(clock.Reading(NOW + timedelta(days=400), 160.0, "boot")) is not None
        assert clock.jump(clock.Reading(NOW + timedelta(seconds=90), 190.0, "boot")) is None


def test_the_trash_is_not_emptied_under_a_running_backup(many: str, tmp_path: Path) -> None:
    set_rule(many, max_backups=6)
    clean(many)
    age_trash(7.9)
    running = attempts.claim(jobs.create_backup(many, "manual").id)
    assert running is not None
    repo = storages.open_repository(storages.list_repositories()[0])
    with lock_repository(repo, on_lock_id=running.hold_lock):
        job = clean(many)
        assert (job.status, job.counts["removed"]) == ("completed", 0)
        age_trash(8.1)
        job = clean(many)
        assert (job.status, job.counts["removed"]) == ("warning", 0)
        assert [alert.kind for alert in alerts.list_open()] == ["retention"]
        assert "could not be emptied" in job.summary
    with lock_repository(repo):  # somebody else's
        assert clean(many).phase == "waiting"
    repo.close()
    attempts.finish(running, Outcome("completed", "Done."))
    assert clean(None).counts["removed"] == 2
    assert not alerts.list_open()


def test_one_dead_storage_does_not_starve_the_others(many: str, tmp_path: Path) -> None:
    set_rule(many, max_backups=6)
    storage_setup.create_local("Second", str(tmp_path / "second"), "another password")
    (tmp_path / "second").rename(tmp_path / "away")
    for _ in range(2):
        job = clean(None)
        assert (job.status, job.problems) == ("warning", 0)
        assert "Nothing was looked at on Second, which cannot be reached." in job.summary
        assert len(points.good_points(many)) == 6
        job_alerts.tell(job.id)
        assert [alert.kind for alert in alerts.list_open()] == ["unreachable"]


def test_a_run_that_reached_no_storage_failed(many: str, tmp_path: Path) -> None:
    (tmp_path / "backups").rename(tmp_path / "away")
    job = clean(many)
    assert (job.status, "Local disk" in job.summary) == ("failed", True)


def test_the_daily_run_is_made_once(many: str) -> None:
    first = cleanup.create_daily()
    assert first is not None
    assert first.config_id is None
    assert cleanup.create_daily() is None
    assert cleanup.create_daily(utc_now() + timedelta(hours=25)) is not None
    assert run(first).status == "completed"
