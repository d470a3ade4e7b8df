"""A bandwidth limit that a person changes, or that begins with the hour, reaches the job that runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, delete

from core import app_state
from core.db import db, write
from core.jobs.attempts import Attempt
from core.models import Storage
from core.storages import live_limits, providers, storage_edit, storage_inputs, storages
from core.storages.live_limits import RowLimits
from repository.progress import Progress
from storage_adapters.base import StorageAdapter
from storage_adapters.memory import MemoryAdapter
from storage_adapters.s3 import S3Settings
from storage_adapters.throttle import ThrottledAdapter
from tests.core import servers
from tests.core.backups.test_copying import copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, run

pytestmark = pytest.mark.usefixtures("context")

ZONE = "Europe/Berlin"


@pytest.fixture
def row() -> Storage:
    """Return the row of a storage that nobody ever reaches."""
    settings = {
        "endpoint": "http://127.0.0.1:9", "bucket": "bucket", "prefix": "", "region": "", "storage_class": "",
        "ca": "", "path_style": "auto",
    }  # fmt: skip
    with write() as session:
        session.add(Storage(id="0" * 16, name="Far", provider="s3", settings=settings, marker_id="m"))
    return storages.get("0" * 16)


def change(**fields: object) -> None:
    with write() as session:
        for name, value in fields.items():
            setattr(session.get_one(Storage, "0" * 16), name, value)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_what_is_changed_counts_soon_in_both_directions_faster_and_slower(row: Storage) -> None:
    clock = Clock()
    limits = RowLimits(db.engine, row, clock)
    assert (limits.upload(), limits.download()) == (None, None)
    for up, down in ((1000, None), (5, 7), (2_000_000, 50), (None, None)):
        change(upload_limit=up, download_limit=down)
        clock.now += 60
        assert (limits.upload(), limits.download()) == (up, down)


def test_the_database_is_asked_now_and_then_and_not_for_each_object(row: Storage) -> None:
    clock = Clock()
    limits = RowLimits(db.engine, row, clock)
    change(upload_limit=1000)
    clock.now += live_limits.READ_EVERY_S - 1
    assert limits.upload() is None
    clock.now += 1
    assert limits.upload() == 1000


def test_while_the_row_cannot_be_read_what_was_known_holds(row: Storage, tmp_path: Path) -> None:
    change(upload_limit=1000)
    clock = Clock()
    gone = RowLimits(nowhere(tmp_path), storages.get(row.id), clock)
    there = RowLimits(db.engine, storages.get(row.id), clock)
    with write() as session:
        session.execute(delete(Storage))
    clock.now += 60
    assert (gone.upload(), there.upload()) == (1000, 1000)


def nowhere(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path}/no/such/folder/db")


def test_a_storage_without_a_limit_can_get_one_while_it_is_open(row: Storage) -> None:
    adapter: object = storages.make_adapter(without_secrets(row))
    layers = []
    while adapter is not None:
        layers.append(type(adapter))
        adapter = getattr(adapter, "inner", None)
    assert ThrottledAdapter in layers


def without_secrets(row: Storage) -> Storage:
    """Return the row with credentials that are none."""

    change(credentials_sealed=providers.seal_credentials(row.id, {"access_key": "a", "secret_key": "b"}))
    return storages.get(row.id)


def test_a_running_job_follows_the_hour(row: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    change(upload_limit=5_000_000, limit_hours="08:00-18:00")
    zone = ZoneInfo(ZONE)
    now = datetime(2026, 11, 23, 17, 59, 50, tzinfo=zone).astimezone(UTC)
    monkeypatch.setattr(live_limits, "utc_now", lambda: now)
    assert app_state.settings().timezone == ZONE
    clock = Clock()
    limits = RowLimits(db.engine, storages.get(row.id))
    storage = throttled(limits, clock)
    storage.put("a", bytes(10_000_000))
    storage.put("b", bytes(10_000_000))
    assert clock.now - 1000 == pytest.approx(2)  # 10 MB at 5 MB/s
    now += timedelta(seconds=10)
    storage.put("c", bytes(10_000_000))
    assert clock.now - 1000 == pytest.approx(2)


def throttled(limits: RowLimits, clock: Clock) -> StorageAdapter:
    return ThrottledAdapter(MemoryAdapter(), limits.upload, limits.download, clock=clock, sleep=clock.sleep)


def test_a_copy_that_a_limit_holds_back_for_an_hour_ends_soon_after_it_was_lifted(
    context: Flask, tmp_path: Path, s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise this test would run into its time-out: 24 MB at 5 kB/s."""
    monkeypatch.setattr(live_limits, "READ_EVERY_S", 0.2)
    make_storage(tmp_path)
    bucket = servers.create(servers.s3_form(s3_settings, upload_limit="5 kB"))
    assert bucket.upload_limit == 5000
    config = make_config(tmp_path, [first(), {"repository_id": bucket.repositories[0].id, "tier": "hot"}])
    (tmp_path / "tree" / "large").write_bytes(os.urandom(24 << 20))
    back_up(config.id)
    held_back = threading.Event()

    def note(attempt: Attempt, progress: Progress) -> None:
        attempt.progress = progress
        if progress.phase == "copying" and progress.bytes_done:  # one pack is there; the next one waits
            held_back.set()

    monkeypatch.setattr(Attempt, "report", note)
    with lifted_once(context, held_back, bucket.id):
        job = run(copy_jobs()[0])
    assert job.status == "completed", job.summary


@contextmanager
def lifted_once(app: Flask, when: threading.Event, storage_id: str) -> Iterator[None]:
    """Take the limit away, as the page does, once something has happened."""
    changed: list[Storage] = []

    def lift() -> None:
        assert when.wait(120)
        with app.app_context():
            storage = storages.get(storage_id)
            fields = {**storage_inputs.to_form(storage), "upload_limit": ""}

            changed.append(storage_edit.update(storage_id, providers.parse(fields, storage)))

    thread = threading.Thread(target=lift)
    thread.start()
    yield
    thread.join()
    assert [storage.upload_limit for storage in changed] == [None]
