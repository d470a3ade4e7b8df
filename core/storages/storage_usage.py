"""How full storages are: listed now and then, kept day by day, and what that will come to."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only

from core import words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.errors import NotFound, Unreachable
from core.models import Config, Copy, Point, RepositoryRecord, Storage, StorageSample
from core.storages import providers, storages
from storage_adapters.errors import StorageError

GB = 10**9
ALERT_SHARE = 0.8
# How old a listing may be before a job relies on it, and before the watch lists again. A remote one costs a
# request for each thousand objects; in between, what jobs say they added is taken for it.
FRESH_FOR = timedelta(minutes=10)
REMOTE_FRESH_FOR = timedelta(hours=1)
LIST_AGAIN_AFTER = timedelta(hours=1)
LIST_REMOTE_AGAIN_AFTER = timedelta(hours=12)
_TREND_DAYS = 30
_TREND_NEEDS = 5  # days with a sample
_FURTHEST = timedelta(days=3650)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a storage is, as far as known. `quota_share`: 1.0 is all. `full_of`: what is full first.

    `free_bytes` and `total_bytes` are those of the file system, for disks of this machine.
    """

    used_bytes: int | None
    measured_at: datetime | None
    quota_bytes: int | None = None
    quota_share: float | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None
    cost_per_month: float | None = None
    currency: str = ""
    full_at: date | None = None
    full_of: str = ""  # quota, disk


@dataclass(frozen=True, slots=True)
class ConfigUsage:
    """What the copies of a config that are still kept added, after deduplication and compression.

    What several points or configs share counts for the one that stored it first.
    """

    config: Config | None
    bytes_added: int
    copies: int


def of(storage: Storage) -> Usage:
    """Return what is known, without asking the storage (but for the room of a local file system)."""
    used, quota, price = storage.used_bytes, storage.quota_bytes, storage.price_per_gb_month
    free, total = _room(storage)
    full_at, full_of = _full(storage, free)
    return Usage(
        used, storage.measured_at, quota, used / quota if quota and used is not None else None, free, total,
        used / GB * price if price is not None and used is not None else None, storage.currency,
        full_at, full_of,
    )  # fmt: skip


def measure(storage: Storage) -> Usage:
    """List all that is there, note it for today, alert from 80 % of the quota on. Raises Unreachable."""
    storage_id = storage.id
    adapter = storages.open_adapter(storage)
    try:
        used = sum(found.size_bytes for found in adapter.list(""))
    except StorageError as error:
        raise Unreachable(
            words.ended(f"The storage {storage.name} could not be listed: {error}"),
            providers.advice(storage.provider),
        ) from error
    finally:
        adapter.close()
    _note(storage_id, used)
    storage = storages.get(storage_id)
    _tell_quota(storage)
    return of(storage)


def measure_all(now: datetime | None = None) -> None:
    """List those storages again whose last listing is old; one that is unreachable is told elsewhere."""
    for storage_id in [storage.id for storage in storages.list_all()]:
        measure_if_old(storage_id, now)


def measure_if_old(storage_id: str, now: datetime | None = None) -> None:
    """Do the same for one storage; one that was deleted meanwhile is left alone."""
    storage = db.session.get(Storage, storage_id)
    if storage is None or storage.unreachable_since is not None:
        return
    limit = LIST_AGAIN_AFTER if storage.provider == "local" else LIST_REMOTE_AGAIN_AFTER
    if _is_older(storage, limit, now or utc_now()):
        _try_measure(storage)


def measure_after(storage_id: str, bytes_added: int) -> None:
    """Note that a job has added so much to a storage: by listing it, or, where that was done just now and
    costs, by adding. What fails here is no fault of the job."""
    storage = db.session.get(Storage, storage_id)
    if storage is None or storage.unreachable_since is not None:
        return
    if storage.provider == "local" or not _is_fresh(storage):
        _try_measure(storage)
        return
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.used_bytes = (storage.used_bytes or 0) + bytes_added
        _sample(session, storage_id, utc_now().date()).used_bytes = storage.used_bytes
    _tell_quota(storages.get(storage_id))


def over_quota(storage: Storage) -> str:
    """Return why nothing new may be stored there; "" if it may. Lists again what is not known freshly.

    Raises Unreachable.
    """
    if storage.quota_bytes is None:
        return ""
    usage = of(storage) if _is_fresh(storage) else measure(storage)
    if usage.quota_share is None or usage.quota_share < 1:
        return ""
    return (
        f"the storage {storage.name} is full: {words.size(usage.used_bytes or 0)} of its quota of "
        f"{words.size(storage.quota_bytes)} are used"
    )


def by_config(storage: Storage) -> list[ConfigUsage]:
    """Return what each config has there, the largest first."""
    query = (
        select(Point.config_id, func.sum(Copy.bytes_added), func.count(Copy.id))
        .join(Point)
        .join(RepositoryRecord, Copy.repository_id == RepositoryRecord.id)
        .where(RepositoryRecord.storage_id == storage.id, Copy.forgotten_at.is_(None), Copy.lost_at.is_(None))
        .group_by(Point.config_id)
    )
    rows = db.session.execute(query).all()
    ids = [row[0] for row in rows if row[0] is not None]
    few = load_only(Config.id, Config.name, Config.type, Config.deleted_at)
    those = select(Config).where(Config.id.in_(ids)).options(few)
    known = {each.id: each for each in db.session.scalars(those)}
    found = [ConfigUsage(known.get(row[0] or ""), int(row[1]), row[2]) for row in rows]
    return sorted(found, key=lambda each: -each.bytes_added)


def _note(storage_id: str, used_bytes: int) -> None:
    now = utc_now()
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.used_bytes, storage.measured_at = used_bytes, now
        sample = _sample(session, storage_id, now.date())
        sample.used_bytes = used_bytes


def _sample(session: Session, storage_id: str, day: date) -> StorageSample:
    query = select(StorageSample).where(StorageSample.storage_id == storage_id, StorageSample.day == day)
    sample = session.scalar(query)
    if sample is None:
        sample = StorageSample(storage_id=storage_id, day=day, used_bytes=0)
        session.add(sample)
    return sample


def _try_measure(storage: Storage) -> None:
    try:
        measure(storage)
    except (Unreachable, NotFound) as error:
        _log.warning("how full a storage is could not be told: %s", error.message)


def _is_fresh(storage: Storage) -> bool:
    limit = FRESH_FOR if storage.provider == "local" else REMOTE_FRESH_FOR
    return not _is_older(storage, limit, utc_now())


def _is_older(storage: Storage, limit: timedelta, now: datetime) -> bool:
    return storage.measured_at is None or not timedelta(0) <= now - storage.measured_at < limit


def samples(storage_id: str, since: date) -> Sequence[StorageSample]:
    """Return what was listed since a day, day by day."""
    query = select(StorageSample).where(StorageSample.storage_id == storage_id, StorageSample.day >= since)
    return db.session.scalars(query.order_by(StorageSample.day)).all()


def _room(storage: Storage) -> tuple[int | None, int | None]:
    if storage.provider != "local" or storage.unreachable_since is not None:
        return None, None
    try:
        room = os.statvfs(storage.settings["path"])
    except OSError as error:
        _log.info("the room on %s cannot be told: %s", storage.settings["path"], error)
        return None, None
    return room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize


def _full(storage: Storage, free_bytes: int | None) -> tuple[date | None, str]:
    """Return when it will be full if it grows as in the last 30 days, and of what."""
    used = storage.used_bytes
    rooms = [(storage.quota_bytes - used, "quota")] if storage.quota_bytes and used is not None else []
    rooms += [(free_bytes, "disk")] if free_bytes is not None else []
    growth = _growth_a_day(storage.id)
    if not rooms or growth is None or growth <= 0:
        return None, ""
    left, of_what = min(rooms)
    days = timedelta(days=max(0, left) / growth)
    return (utc_now().date() + days, of_what) if days < _FURTHEST else (None, "")


def _growth_a_day(storage_id: str) -> float | None:
    """Return the slope of a straight line through the days' listings, in bytes; None for too few."""
    days_seen = samples(storage_id, utc_now().date() - timedelta(days=_TREND_DAYS))
    if len(days_seen) < _TREND_NEEDS:
        return None
    days = [float(sample.day.toordinal()) for sample in days_seen]
    sizes = [float(sample.used_bytes) for sample in days_seen]
    day, size = sum(days) / len(days), sum(sizes) / len(sizes)
    spread = sum((each - day) ** 2 for each in days)
    return sum((x - day) * (y - size) for x, y in zip(days, sizes, strict=True)) / spread


def _tell_quota(storage: Storage) -> None:
    subject, share = f"quota:{storage.id}", of(storage).quota_share
    if share is None or share < ALERT_SHARE:
        alerts.resolve(subject)
        return
    full = share >= 1
    alerts.raise_alert(
        subject, "quota", "error" if full else "warning",
        f"The storage {storage.name} is at {share:.0%} of its quota.",
        "New backups and copies there wait; nothing is deleted to make room." if full
        else "At 100 % new backups and copies there will wait.",
        "Raise it, keep fewer points, or press “Compact now” on its page to free what nothing needs.",
        storage_id=storage.id,
    )  # fmt: skip
