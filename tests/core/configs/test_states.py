"""States, strip and verdict: said from points and rows as they are, never better than they are."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from core import setup
from core.configs import config_facts, configs, states, success
from core.db import db, write
from core.models import Config, Copy, Job, Point, ScheduledRun
from core.storages import storages
from tests.core.backups.test_copying import add_disk

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    """Return a config that runs every day at 02:00 UTC, since long ago."""
    setup.create_first_storage(str(tmp_path / "disk"))
    return make_config("Wiki")


def make_config(name: str) -> Config:
    """Make a config as above."""
    data = {"name": name, "source": {"paths": ["/etc"]}, "cron": "0 2 * * *", "timezone": "UTC"}
    made = configs.create(configs.parse(data))
    with write() as session:
        session.get_one(Config, made.id).scheduled_since = NOW - timedelta(days=100)
    return made


def ago(hours: float) -> datetime:
    """Return a time before NOW."""
    return NOW - timedelta(hours=hours)


def run(
    config: Config, status: str, at: datetime, *, point: bool | None = None, warnings: int = 0, **more: str
) -> int:
    """Add a backup that ended, by default with a point if it ended well; and the row of its due time."""
    with write() as session:
        times = {"created_at": at, "started_at": at, "ended_at": at + timedelta(minutes=5)}
        job = Job(
            kind="backup", trigger="schedule", config_id=config.id, status=status, due_at=at, **times, **more
        )
        session.add(job)
        session.flush()
        session.add(ScheduledRun(config_id=config.id, due_at=at, job_id=job.id))
        if point if point is not None else status in ("completed", "warning"):
            made = Point(
                config_id=config.id, job_id=job.id, taken_at=at, tree="0" * 64,
                bytes=1000, bytes_added=100, warnings=warnings,
            )  # fmt: skip
            snapshot = f"{next(_numbers):064x}"
            made.copies = [Copy(repository_id=config.destinations[0].repository_id, snapshot_id=snapshot)]
            session.add(made)
        return job.id


def pending(config: Config, status: str, at: datetime, **more: str) -> int:
    """Add a backup that has not ended."""
    with write() as session:
        job = Job(kind="backup", trigger="manual", config_id=config.id, status=status, created_at=at, **more)
        session.add(job)
        session.flush()
        return job.id


def miss(config: Config, at: datetime) -> None:
    """Add a run that was missed."""
    with write() as session:
        session.add(ScheduledRun(config_id=config.id, due_at=at, missed_reason="It was not running."))


def trash(config: Config) -> None:
    """Put all points into the trash."""
    with write() as session:
        for copy in session.query(Copy):
            copy.trashed_at = NOW


def word(config: Config) -> str:
    """Return the state's word."""
    db.session.rollback()
    return states.state(configs.get(config.id), NOW).word


def test_a_config_that_never_ran_is_new(config: Config) -> None:
    with write() as session:
        session.get_one(Config, config.id).scheduled_since = ago(1)
    assert word(config) == "New"


def test_a_good_last_run_protects(config: Config) -> None:
    job_id = run(config, "completed", ago(10))
    found = states.state(config, NOW)
    assert (found.word, found.job_id, found.needs_person) == ("Protected", job_id, False)


def test_a_warning_protects_and_says_what_is_missing(config: Config) -> None:
    run(config, "warning", ago(10), warnings=3)
    found = states.state(config, NOW)
    assert found.word == "Protected"
    assert "3 things" in found.reason


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_bad_last_run_is_failing_however_good_the_one_before(config: Config, status: str) -> None:
    run(config, "completed", ago(34))
    job_id = run(config, status, ago(10), summary="The disk is full.")
    found = states.state(config, NOW)
    assert (found.word, found.reason, found.job_id) == ("Failing", "The disk is full.", job_id)


def test_what_a_person_cancelled_is_no_failure(config: Config) -> None:
    run(config, "completed", ago(10))
    run(config, "cancelled", ago(5))
    assert word(config) == "Protected"


def test_a_missed_last_run_is_failing_until_one_ends_well(config: Config) -> None:
    run(config, "completed", ago(34))
    miss(config, ago(10))
    assert word(config) == "Failing"
    run(config, "completed", ago(9))
    assert word(config) == "Protected"


def test_good_jobs_whose_points_are_gone_protect_nothing(config: Config) -> None:
    run(config, "completed", ago(10))
    trash(config)
    assert word(config) == "Failing"
    assert states.facts(config, NOW).last_good is None


@pytest.mark.parametrize(
    ("column", "told"), [("damaged_at", "damaged"), ("lost_at", "another program"), ("trashed_at", "removed")]
)
def test_the_last_backup_is_worth_nothing_without_its_point(config: Config, column: str, told: str) -> None:
    run(config, "completed", ago(34))
    job_id = run(config, "completed", ago(10))
    assert word(config) == "Protected"
    with write() as session:
        newest = session.query(Copy).order_by(Copy.id.desc()).first()
        setattr(newest, column, NOW)
    found = states.state(config, NOW)
    assert (found.word, found.job_id) == ("Failing", job_id)
    assert told in found.reason


def test_a_job_row_alone_is_no_protection(config: Config) -> None:
    run(config, "completed", ago(10), point=False)
    assert word(config) == "Failing"


def test_a_storage_that_is_gone_is_failing_however_good_the_points(config: Config) -> None:
    run(config, "completed", ago(10))
    storages.mark_unreachable(storages.list_all()[0].id, "not mounted")
    found = states.state(configs.get(config.id), NOW)
    assert found.word == "Failing"
    assert "not mounted" in found.reason


def test_paused_comes_before_all(config: Config) -> None:
    run(config, "failed", ago(10))
    configs.set_enabled(config.id, False)
    assert word(config) == "Paused"


def test_running_comes_before_failing(config: Config) -> None:
    run(config, "failed", ago(10))
    job_id = pending(config, "running", ago(0.1))
    found = states.state(config, NOW)
    assert (found.word, found.job_id) == ("Running", job_id)


def test_one_just_queued_is_about_to_run(config: Config) -> None:
    pending(config, "queued", ago(0.01))
    assert word(config) == "Running"


@pytest.mark.parametrize(("minutes", "expected"), [(1, "Running"), (3, "Failing")])
def test_one_that_nobody_starts_hides_nothing(config: Config, minutes: int, expected: str) -> None:
    run(config, "failed", ago(5))
    pending(config, "queued", NOW - timedelta(minutes=minutes))
    assert word(config) == expected


def test_one_that_waits_hides_nothing(config: Config) -> None:
    run(config, "completed", ago(34))
    job_id = pending(config, "queued", ago(10), waiting_reason="Somebody holds a lock.")
    found = states.state(config, NOW)
    assert (found.word, found.reason, found.job_id) == ("Late", "Somebody holds a lock.", job_id)


def test_nothing_started_what_was_due(config: Config) -> None:
    run(config, "completed", ago(34))
    found = states.state(config, NOW)
    assert found.word == "Late"
    assert "worker" in found.reason


@pytest.mark.parametrize(("minutes", "expected"), [(59, "Protected"), (61, "Late")])
def test_a_run_is_late_only_after_its_grace(config: Config, minutes: int, expected: str) -> None:
    run(config, "completed", ago(34))
    moment = datetime(2026, 5, 20, 2, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    assert states.state(config, moment).word == expected


def test_what_was_due_before_the_schedule_began_is_not_late(config: Config) -> None:
    run(config, "completed", ago(34))
    with write() as session:
        session.get_one(Config, config.id).scheduled_since = ago(5)
    assert word(config) == "Protected"


def test_a_run_by_hand_after_the_due_time_counts(config: Config) -> None:
    run(config, "completed", ago(34))
    run(config, "completed", ago(3))
    assert word(config) == "Protected"


def test_a_config_without_schedule_is_never_late(config: Config) -> None:
    configs.update(config.id, configs.to_input(config).model_copy(update={"cron": ""}))
    run(config, "completed", ago(24 * 60))
    assert word(config) == "Protected"


def test_the_strip_shows_the_worst_of_each_day(config: Config) -> None:
    good = run(config, "completed", ago(24 * 3 + 2))
    failed = run(config, "failed", ago(24 * 2 + 5))
    run(config, "completed", ago(24 * 2 + 1))
    miss(config, ago(24 + 10))
    warned = run(config, "warning", ago(2))
    run(config, "cancelled", ago(1))
    strip = states.strip(config, 30, NOW)
    assert len(strip) == 30
    assert [cell.day for cell in strip[-2:]] == [date(2026, 5, 19), date(2026, 5, 20)]
    assert [(cell.status, cell.job_id) for cell in strip[-5:]] == [
        ("none", None), ("good", good), ("failed", failed), ("missed", None), ("warning", warned),
    ]  # fmt: skip


def test_the_strip_has_days_of_the_configs_own_zone(config: Config) -> None:
    configs.update(config.id, configs.to_input(config).model_copy(update={"timezone": "Pacific/Auckland"}))
    run(config, "completed", datetime(2026, 5, 19, 13, 0, tzinfo=UTC))
    strip = states.strip(configs.get(config.id), 3, NOW)
    assert [(cell.day.day, cell.status) for cell in strip] == [(19, "none"), (20, "good"), (21, "none")]


def test_facts_come_from_good_points(config: Config) -> None:
    assert states.facts(config, NOW) == states.Facts(None, datetime(2026, 5, 21, 2, tzinfo=UTC), 0, None, 0)
    run(config, "completed", ago(34))
    run(config, "completed", ago(10))
    found = states.facts(config, NOW)
    assert found.last_good is not None
    assert found.last_good.taken_at == ago(10)
    assert (found.good_points, found.source_bytes, found.stored_bytes) == (2, 1000, 200)
    configs.set_enabled(config.id, False)
    assert states.facts(configs.get(config.id), NOW).next_run is None


def test_the_verdict_says_when_all_is_well(config: Config) -> None:
    run(config, "completed", ago(10))
    found = states.verdict(NOW)
    assert (found.level, found.sentence) == ("good", "Your config is protected.")
    assert found.last_backup_at == ago(10)
    run(make_config("Mail"), "completed", ago(9))
    assert states.verdict(NOW).sentence == "All 2 configs are protected."


def test_the_verdict_is_not_plain_good_if_a_backup_left_things_out(config: Config) -> None:
    job_id = run(config, "warning", ago(10), warnings=15)
    found = states.verdict(NOW)
    assert (found.level, found.sentence) == (
        "warning", "Your config is protected, except for 15 things that could not be read.",
    )  # fmt: skip
    assert [(reason.text, reason.job_id) for reason in found.reasons] == [
        ("Wiki: the last backup left out 15 things.", job_id)
    ]
    assert states.state(config, NOW).word == "Protected"
    run(make_config("Mail"), "completed", ago(9))
    assert states.verdict(NOW).sentence.startswith("All 2 configs are protected, except for 15 things")


def test_the_verdict_names_what_needs_somebody(config: Config) -> None:
    run(config, "completed", ago(10))
    mail = make_config("Mail")
    job_id = run(mail, "failed", ago(8), summary="The disk is full.")
    found = states.verdict(NOW)
    assert (found.level, found.sentence) == ("attention", "1 config needs you.")
    assert [(reason.text, reason.config_id, reason.job_id) for reason in found.reasons] == [
        ("Mail: The disk is full.", mail.id, job_id)
    ]


def test_the_verdict_names_a_storage_once_for_all_its_configs(config: Config) -> None:
    run(config, "completed", ago(10))
    run(make_config("Mail"), "completed", ago(10))
    storage_id = storages.list_all()[0].id
    storages.mark_unreachable(storage_id, "not mounted")
    found = states.verdict(NOW)
    assert (found.level, found.sentence) == ("attention", "2 configs need you.")
    assert [(reason.text, reason.storage_id) for reason in found.reasons] == [
        ("Local disk is unreachable: not mounted.", storage_id)
    ]


def test_the_verdict_is_not_good_while_something_is_new_or_paused(config: Config) -> None:
    with write() as session:
        session.get_one(Config, config.id).scheduled_since = ago(1)
    assert states.verdict(NOW).level == "waiting"
    assert states.verdict(NOW).sentence == "Wiki is not protected yet."
    mail = make_config("Mail")
    run(mail, "completed", ago(10))
    assert states.verdict(NOW).sentence == "All but Wiki are protected."
    configs.set_enabled(mail.id, False)
    assert states.verdict(NOW).level == "waiting"


def test_without_configs_nothing_is_backed_up(context: Flask) -> None:
    found = states.verdict(NOW)
    assert (found.level, found.sentence, found.last_backup_at) == (
        "waiting",
        "Nothing is backed up yet.",
        None,
    )


def test_numbers_of_many_configs_are_those_of_each(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_config("Other")
    make_config("Without points")
    for one in (config, other):
        for hours in (50, 26, 2):
            run(one, "completed", ago(hours))
    second = add_disk(tmp_path, "second")
    with write() as session:
        copies = session.query(Copy).order_by(Copy.id).all()
        copies[0].trashed_at, copies[4].lost_at = NOW, NOW
        session.add(Copy(point_id=copies[1].point_id, repository_id=second, snapshot_id="f" * 64))
    every = configs.list_all()
    few = states.facts_of(every, NOW)
    assert [(few[each.id].good_points, few[each.id].stored_bytes) for each in every] == [
        (2, 200), (2, 200), (0, 0),
    ]  # fmt: skip
    monkeypatch.setattr(config_facts, "_MANY", 0)
    assert states.facts_of(every, NOW) == few
    assert success.good_points() == 4
