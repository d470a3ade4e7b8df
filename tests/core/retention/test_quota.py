"""Quotas: told of at 80 %, waited for at 100 %, and nothing is deleted to make room."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.alerting import alerts
from core.backups import copying
from core.configs import configs
from core.db import utc_now, write
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Storage, StorageSample
from core.storages import storage_usage, storages
from core.storages.storage_inputs import parse_size, write_size
from tests.core.backups.test_copying import add_disk, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def two(tmp_path: Path) -> Config:
    """Return a config with two disks."""
    make_storage(tmp_path)
    return make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])


def set_quota(name: str, share: float) -> Storage:
    """Give a storage a quota of which this share is used; return the storage."""
    storage = next(one for one in storages.list_all() if one.name == name)
    used = storage_usage.measure(storage).used_bytes or 0
    with write() as session:
        session.get_one(Storage, storage.id).quota_bytes = int(used / share)
    storage_usage.measure(storages.get(storage.id))
    return storages.get(storage.id)


def attempt_backup(config_id: str) -> int:
    """Perform a backup that may wait; return its job."""
    attempt = attempts.claim(jobs.create_backup(config_id, "manual").id)
    assert attempt is not None
    job_kinds.perform(attempt)
    return attempt.job_id


def test_at_80_percent_it_is_told_and_below_it_is_resolved(two: Config) -> None:
    back_up(two.id)
    set_quota("Local disk", 0.79)
    assert alerts.list_open() == []
    set_quota("Local disk", 0.81)
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.severity, "81%" in alert.what) == ("quota", "warning", True)
    set_quota("Local disk", 0.5)
    assert alerts.list_open() == []


def test_at_100_percent_a_backup_waits_and_goes_on_when_there_is_room(two: Config) -> None:
    back_up(two.id)
    storage = set_quota("Local disk", 1.0)
    job = jobs.get(attempt_backup(two.id))
    assert (job.status, job.phase) == ("queued", "waiting")
    assert "the storage Local disk is full" in job.waiting_reason
    assert alerts.list_open()[0].severity == "error"
    with write() as session:
        session.get_one(Storage, storage.id).quota_bytes = None
    jobs.hasten(job.id)
    attempt = attempts.claim(job.id)
    assert attempt is not None
    job_kinds.perform(attempt)
    assert jobs.get(job.id).status == "completed"


def test_it_waits_for_an_hour_and_then_fails(two: Config) -> None:
    back_up(two.id)
    set_quota("Local disk", 1.2)
    job = jobs.get(attempt_backup(two.id))
    with write() as session:
        row = session.get_one(type(job), job.id)
        row.not_before = None
        row.parameters = {"waiting_since": (utc_now() - attempts.WAIT_AT_MOST).isoformat()}
    attempt = attempts.claim(job.id)
    assert attempt is not None
    job_kinds.perform(attempt)
    job = jobs.get(job.id)
    assert (job.status, "in vain" in job.summary, "quota" in job.advice) == ("failed", True, True)


def test_a_full_destination_gets_no_copies_and_says_why(two: Config) -> None:
    back_up(two.id)
    set_quota("second", 1.0)
    jobs.request_cancel(copy_jobs()[0].id)
    gap = copying.gaps(configs.get(two.id))[1]
    assert "quota" in gap.why
    back_up(two.id)
    assert copy_jobs() == []


@pytest.mark.parametrize(("each_day", "full"), [(1000, True), (0, False), (-1000, False)])
def test_the_day_it_will_be_full_is_a_straight_line(two: Config, each_day: int, full: bool) -> None:
    storage = set_quota("second", 0.5)
    today = utc_now().date()
    with write() as session:
        row = session.get_one(Storage, storage.id)
        row.used_bytes, row.quota_bytes = 100_000, 110_000
        session.query(StorageSample).delete()
        for back in range(10):
            session.add(
                StorageSample(
                    storage_id=storage.id, day=today - timedelta(back), used_bytes=100_000 - back * each_day
                )
            )
    usage = storage_usage.of(storages.get(storage.id))
    assert (usage.full_at, usage.full_of) == ((today + timedelta(10), "quota") if full else (None, ""))


def test_too_few_days_say_nothing(two: Config) -> None:
    assert storage_usage.of(set_quota("second", 0.9)).full_at is None


def test_cost_follows_the_price(two: Config) -> None:
    with write() as session:
        row = session.query(Storage).first()
        row.used_bytes, row.price_per_gb_month, row.currency = 3 * 10**9, 0.02, "EUR"
        storage_id = row.id
    usage = storage_usage.of(storages.get(storage_id))
    assert (usage.cost_per_month, usage.currency) == (pytest.approx(0.06), "EUR")


@pytest.mark.parametrize(
    ("text", "size"), [("100GB", 10**11), ("1.5 TiB", 3 * 2**39), ("500MB", 5 * 10**8), ("7B", 7)]
)
def test_sizes_are_read_and_written(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize("text", ["", "100", "much", "-1GB", "0GB", "1e3GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)
