"""Daily reports: one a day, made after it has ended, kept here and put on the first storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pydantic_core import to_json
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer

from core import clock, secrets, words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.errors import HoldfastError, NotFound
from core.models import Report, Storage
from core.reports import report_document
from core.storages import providers, storages
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError

FOLDER = "reports"
# After a longer outage only so many days are made up for.
MOST_DAYS = 31
# A day's last jobs get so long to end before it is told.
AFTER_MIDNIGHT = timedelta(minutes=5)
TRY_AGAIN_AFTER = timedelta(hours=1)
ALERT_AFTER = timedelta(hours=24)
_SUBJECT = "report:"


def run(now: datetime | None = None) -> int:
    """Make the reports that are due and put them where they belong; return how many were put."""
    make_due(now)
    return store_due(now)


def make_due(now: datetime | None = None) -> list[date]:
    """Make the reports of days that have ended and have none; return the days. Each once, whoever ticks."""
    now = now or utc_now()
    days = _lacking(now)
    if not days or clock.jump() is not None:
        return []
    return [day for day in days if _make(day, now)]


def store_due(now: datetime | None = None) -> int:
    """Put what is not there yet on the first storage; return how many were put."""
    now = now or utc_now()
    stored = sum(_store(report_id, now) for report_id in _unstored(now))
    if not _unstored(None):
        alerts.resolve(_SUBJECT)
    return stored


def list_recent(limit: int = 92) -> Sequence[Report]:
    """Return the newest reports, the newest first; what each says in full is read only if asked for."""
    query = select(Report).options(defer(Report.document))
    return db.session.scalars(query.order_by(Report.day.desc()).limit(limit)).all()


def get(day: date) -> Report:
    """Return the report of a day. Raises NotFound."""
    report = db.session.scalar(select(Report).where(Report.day == day))
    if report is None:
        raise NotFound(
            f"There is no report of {day}.", "One is made after each day, since the first storage."
        )
    return report


def preview(now: datetime | None = None) -> dict[str, object]:
    """Return what the report of today would say so far."""
    now = now or utc_now()
    return report_document.make(now.date(), now)


def in_short(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a report's row that say what its document says."""
    runs = document["runs"]
    return {
        "sentence": document["verdict"]["sentence"],
        "good": runs["completed"] + runs["warning"],
        "failed": runs["failed"] + runs["interrupted"],
        "missed": runs["missed"],
    }


def as_json(document: dict[str, object]) -> str:
    """Return a report as the text that is stored."""
    # As json.dumps does it, which takes ten times as long where it indents.
    return to_json(document, indent=2).decode() + "\n"


def _lacking(now: datetime) -> list[date]:
    first = db.session.scalar(select(func.min(Storage.created_at)))
    if first is None:
        return []
    last = (now - AFTER_MIDNIGHT).date() - timedelta(days=1)
    start = max(first.date(), last - timedelta(days=MOST_DAYS - 1))
    if start > last:
        return []
    there = set(db.session.scalars(select(Report.day).where(Report.day >= start)))
    every = [start + timedelta(days=number) for number in range((last - start).days + 1)]
    return [day for day in every if day not in there]


def _make(day: date, now: datetime) -> bool:
    document = report_document.make(day, now)
    db.session.rollback()
    try:
        with write() as session:
            row = Report(day=day, document=document, created_at=now, due_at=now, **in_short(document))
            session.add(row)
    except IntegrityError:
        return False  # another process has made it this very moment
    return True


def _unstored(now: datetime | None) -> Sequence[int]:
    query = select(Report.id).where(Report.stored_at.is_(None))
    if now is not None:
        # A time far off was written under a clock that was ahead.
        query = query.where((Report.due_at <= now) | (Report.due_at > now + 2 * TRY_AGAIN_AFTER))
    return db.session.scalars(query.order_by(Report.day)).all()


def _store(report_id: int, now: datetime) -> int:
    """Put one report on the first storage, or note why not; return 1 if it is there."""
    storage = db.session.scalar(select(Storage).order_by(Storage.created_at).limit(1))
    if storage is None:
        return 0
    storage_id, name = storage.id, storage.name
    report = db.session.get_one(Report, report_id)
    data, day = as_json(report.document).encode(), report.day
    try:
        adapter = storages.open_adapter(storage, providers.QUICK)
        try:
            key = _put(adapter, day, data)
        finally:
            adapter.close()
    except (HoldfastError, StorageError, secrets.SealBroken) as error:
        _note_failure(report_id, name, str(error), now)
        return 0
    with write() as session:
        row = session.get_one(Report, report_id)
        row.storage_id, row.key, row.stored_at, row.error = storage_id, key, now, ""
    return 1


def _put(adapter: StorageAdapter, day: date, data: bytes) -> str:
    """Put a report where nothing stands, or itself (put by a killed process); return its key."""
    for number in range(1, 100):
        key = f"{FOLDER}/backup-report-{day}{'' if number == 1 else f'-{number}'}.json"
        try:
            if adapter.get(key) == data:
                return key
        except ObjectNotFound:
            adapter.put(key, data)
            return key
    raise StorageError(f"there are a hundred other reports of {day} already")


def _note_failure(report_id: int, storage_name: str, error: str, now: datetime) -> None:
    with write() as session:
        row = session.get_one(Report, report_id)
        row.attempts, row.error, row.due_at = row.attempts + 1, error, now + TRY_AGAIN_AFTER
        waits, day = now - row.created_at, row.day
    if waits < ALERT_AFTER or alerts.is_open(_SUBJECT):
        return
    alerts.raise_alert(
        _SUBJECT, "report", "warning",
        words.ended(f"The report of {day} could not be put on {storage_name} for a day: {error}"),
        "It can be read here. Who looks for it on the storage does not find it.",
        "See that the storage answers and has room. It is tried again every hour.",
    )  # fmt: skip
