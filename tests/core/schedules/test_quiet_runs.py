"""Quiet hours hold for all that begins by itself: made-up runs, runs after a pause, retries, copies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from core.alerting import alerts, silence
from core.backups import copying
from core.configs import configs, states
from core.db import db, write
from core.jobs import attempts, jobs
from core.models import Config, Destination, Job, Point, ScheduledRun
from core.schedules import limits, pause, retries, run_times, schedules
from core.storages import recovery, storage_setup, storages
from repository import locks
from tests.core.making import back_up, make_config, make_storage, make_tree
from tests.core.simulated import at

NIGHTLY, HOURLY = "0 2 * * *", "0 * * * *"


@pytest.fixture
def clock(context: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Hold the clock: it is noon, in quiet hours."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    silence._noticed.clear()
    with time_machine.travel(at("2026-05-01 12:00"), tick=True) as traveller:
        yield traveller
    silence._noticed.clear()


def quiet_by_day(tmp_path: Path, cron: str = NIGHTLY, second: str = "", **more: Any) -> Config:
    """Return a config whose quiet hours are those of an office, looked at since the evening before.

    `second`: when copies are made to a second destination, if there is to be one.
    """
    make_storage(tmp_path)
    places = [{"repository_id": storages.list_repositories()[0].id}]
    if second:
        disk = storage_setup.create_local("second", str(tmp_path / "second"), recovery.stored() or "")
        places.append({"repository_id": disk.repositories[0].id, "tier": "hot", "when": second})
    config = make_config(
        make_tree(tmp_path / "tree"), cron=cron, timezone="UTC", blackouts=["08:00-18:00"],
        destinations=places, **more,
    )  # fmt: skip
    with write() as session:
        session.get_one(Config, config.id).scheduled_since = at("2026-05-01 20:00")
    return configs.get(config.id)


def runs() -> list[tuple[str, int | None]]:
    found = db.session.scalars(select(ScheduledRun).order_by(ScheduledRun.due_at))
    return [(row.due_at.strftime("%d %H:%M"), row.job_id) for row in found]


def test_what_was_missed_is_made_up_for_when_they_end(clock: Any, tmp_path: Path) -> None:
    config = quiet_by_day(tmp_path)
    assert schedules.tick(at("2026-05-02 08:05")) == schedules.tick(at("2026-05-02 17:59")) == []
    found = states.state(config, at("2026-05-02 12:00"))
    assert (found.word, found.reason) == (
        "Late",
        "A run is made up for when quiet hours end, 2 May 2026, 18:00 (UTC).",
    )
    (job_id,) = schedules.tick(at("2026-05-02 18:00"))
    assert runs() == [("02 02:00", job_id)]
    assert alerts.list_open() == []


def test_after_a_pause_nothing_begins_before_they_end(clock: Any, tmp_path: Path) -> None:
    quiet_by_day(tmp_path)
    clock.move_to(at("2026-05-02 01:00"))
    pause.begin(at("2026-05-02 09:00"), "anna")
    assert schedules.tick(at("2026-05-02 02:00")) == schedules.tick(at("2026-05-02 09:01")) == []
    assert len(schedules.tick(at("2026-05-02 18:00"))) == 1


def test_a_retry_waits_for_their_end_and_says_so(clock: Any, tmp_path: Path) -> None:
    quiet_by_day(tmp_path, retries={"count": 1, "delay": "30m"})
    (job_id,) = schedules.tick(at("2026-05-02 02:00"))
    fail(job_id, "2026-05-02 07:45")
    assert retries.at(jobs.get(job_id)) == at("2026-05-02 18:00")
    assert retries.tick(at("2026-05-02 08:15")) == retries.tick(at("2026-05-02 17:59")) == []
    assert len(retries.tick(at("2026-05-02 18:00"))) == 1


def test_a_retry_that_was_due_while_nothing_ran_waits_for_their_end(clock: Any, tmp_path: Path) -> None:
    quiet_by_day(tmp_path, retries={"count": 1, "delay": "30m"})
    (job_id,) = schedules.tick(at("2026-05-02 02:00"))
    fail(job_id, "2026-05-02 03:00")
    assert retries.tick(at("2026-05-02 09:00")) == []
    assert len(retries.tick(at("2026-05-02 18:00"))) == 1


def test_a_job_that_waited_into_them_waits_on_and_does_for_the_run_at_their_end(
    clock: Any, tmp_path: Path
) -> None:
    quiet_by_day(tmp_path, HOURLY)
    (job_id,) = schedules.tick(at("2026-05-02 07:00"))[-1:]
    clock.move_to(at("2026-05-02 08:10"))
    assert limits.hold_back(job_id)
    assert attempts.claim(job_id) is None
    assert jobs.get(job_id).waiting_reason == "its config has quiet hours until 2 May 2026, 18:00 (UTC)"
    silence.watch(at("2026-05-02 12:10"), 0.0)
    clock.move_to(at("2026-05-02 18:00"))
    before = len(runs())
    schedules.tick(at("2026-05-02 18:00"))
    silence.watch(at("2026-05-02 18:00"), 0.0)
    assert runs()[before:] == [("02 18:00", job_id)]
    assert "queued" not in {alert.kind for alert in alerts.list_open()}
    clock.move_to(at("2026-05-02 18:02"))
    assert attempts.claim(job_id) is not None


def test_what_a_person_starts_begins_at_once(clock: Any, tmp_path: Path) -> None:
    config = quiet_by_day(tmp_path)
    assert run_times.is_quiet(config, at("2026-05-01 12:00"))
    assert back_up(config.id).status == "completed"


def test_copies_by_a_schedule_wait_and_are_not_late_meanwhile(clock: Any, tmp_path: Path) -> None:
    config = quiet_by_day(tmp_path, second="0 9 * * *")
    assert back_up(config.id).status == "completed"
    with write() as session:
        point = session.scalars(select(Point)).one()
        point.taken_at = point.created_at = at("2026-05-02 03:00")
        session.scalars(select(Destination).where(Destination.position == 1)).one().scheduled_since = at(
            "2026-05-02 08:00"
        )
    clock.move_to(at("2026-05-02 17:50"))
    assert copying.tick(at("2026-05-02 09:00")) == copying.tick(at("2026-05-02 17:50")) == []
    gap = copying.gaps(configs.get(config.id), at("2026-05-02 17:50"))[1]
    assert (len(gap.missing), gap.late) == (1, False)
    clock.move_to(at("2026-05-02 18:00"))
    assert len(copying.tick(at("2026-05-02 18:00"))) == 1


def test_a_copy_that_follows_a_backup_belongs_to_it(clock: Any, tmp_path: Path) -> None:
    config = quiet_by_day(tmp_path, second="after")
    assert back_up(config.id).status == "completed"
    copy = db.session.scalars(select(Job).where(Job.kind == "copy")).one()
    assert not limits.hold_back(copy.id)


def fail(job_id: int, moment: str) -> None:
    with write() as session:
        job = session.get_one(Job, job_id)
        job.status, job.ended_at, job.started_at = "failed", at(moment), at(moment) - timedelta(minutes=5)
