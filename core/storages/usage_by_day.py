"""How a storage came to be as full as it is, day by day, and which configs that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Date, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from core.db import db, utc_now
from core.models import Copy, Point, RepositoryRecord, Storage
from core.storages.storage_usage import samples

OTHERS = "others"  # in place of the config ids of all that are not told apart


@dataclass(slots=True)
class DayUsage:
    """A day (UTC): what was listed, and what copies made up to then had added, by config id ("": none)."""

    day: date
    used_bytes: int | None
    added: dict[str, int] = field(default_factory=dict)


def over_time(storage: Storage, days: int = 90, most: int = 5) -> list[DayUsage]:
    """Return the last `days` days, the oldest first, today last.

    If there are more configs than `most`, those that added least go together, by OTHERS.
    """
    today = utc_now().date()
    first = today - timedelta(days=days - 1)
    listed = {sample.day: sample.used_bytes for sample in samples(storage.id, first)}
    totals = {
        config_id or "": int(size)
        for config_id, size in db.session.execute(_added(storage.id, Point.config_id))
    }
    largest = sorted(totals, key=lambda config_id: (-totals[config_id], config_id))
    largest = largest if len(largest) <= most else largest[: most - 1]
    added, every = _by_day(storage.id, first, largest), _all_by_day(storage.id, first)
    before = {name: totals[name] - sum(day.get(name, 0) for day in added.values()) for name in largest}
    others = sum(totals.values()) - sum(every.values()) - sum(before.values())
    sums = before | ({OTHERS: others} if len(totals) > most else {})
    shown = []
    for number in range(days):
        day = first + timedelta(days=number)
        of_day = added.get(day, {})
        for config_id, size in of_day.items():
            sums[config_id] += size
        if OTHERS in sums:
            sums[OTHERS] += every.get(day, 0) - sum(of_day.values())
        shown.append(DayUsage(day, listed.get(day), {name: size for name, size in sums.items() if size}))
    return shown


def _by_day(storage_id: str, first: date, config_ids: Sequence[str]) -> dict[date, dict[str, int]]:
    named = Point.config_id.in_([config_id for config_id in config_ids if config_id])
    wanted = or_(named, Point.config_id.is_(None)) if "" in config_ids else named
    query = _added(storage_id, _day(), Point.config_id).where(Copy.created_at >= _midnight(first), wanted)
    found: dict[date, dict[str, int]] = {}
    for at, config_id, size in db.session.execute(query):
        found.setdefault(at, {})[config_id or ""] = int(size)
    return found


def _all_by_day(storage_id: str, first: date) -> dict[date, int]:
    query = select(_day(), func.sum(Copy.bytes_added)).where(
        Copy.repository_id.in_(_repositories(storage_id)), Copy.created_at >= _midnight(first)
    )
    return {at: int(size) for at, size in db.session.execute(query.group_by(_day()))}


def _added(storage_id: str, *by: ColumnElement[Any] | InstrumentedAttribute[Any]) -> Select[Any]:
    """Return the query of how many bytes copies on a storage added, by these."""
    query = select(*by, func.sum(Copy.bytes_added)).join(Point, Copy.point_id == Point.id)
    return query.where(Copy.repository_id.in_(_repositories(storage_id))).group_by(*by)


def _repositories(storage_id: str) -> Select[str]:
    return select(RepositoryRecord.id).where(RepositoryRecord.storage_id == storage_id)


def _day() -> ColumnElement[date]:
    return func.date(Copy.created_at, type_=Date())


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
