"""How long Holdfast keeps its own records, and how large they are.

What a point, an alert or a run still needs stays, however old. So does the newest of each sort: what is
due next is told by it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import aliased

from core import app_state, clock, input_sentences, instance
from core.access import audit_age
from core.db import Base, db, utc_now, write
from core.errors import Invalid
from core.models import Alert, Copy, Job, JobLog, LoginFailure, Point, ScheduledRun
from core.models.job import ENDED
from core.points import points

DAILY = timedelta(hours=24)
DOUBTED_AFTER = timedelta(days=30)
# Nobody waits longer for a write than one such batch takes.
BATCH = 500
FAILURES_FOR = timedelta(days=7)
_AGES, _DONE = "ages", "housekeeping"

Days = Annotated[int, Field(ge=7, le=36_500)]


class Ages(BaseModel):
    """For how many days records are kept after what they are about has ended."""

    model_config = ConfigDict(extra="forbid")

    logs: Days = 90
    jobs: Days = 400
    alerts: Days = 400
    audit: Days = 1095


@dataclass(frozen=True, slots=True)
class State:
    """How large the records are. `files`: bytes by what they are; `rows`: by what they are."""

    files: dict[str, int]
    rows: dict[str, int]
    swept_at: datetime | None
    removed: dict[str, int]


def ages() -> Ages:
    """Return the ages."""
    return Ages.model_validate(instance.get(_AGES) or {})


def change(given: dict[str, Any]) -> Ages:
    """Set the ages. Raises Invalid."""
    try:
        chosen = Ages.model_validate(given)
    except ValidationError as error:
        raise Invalid(input_sentences.of(error, {})) from error
    instance.put(_AGES, chosen.model_dump())
    return chosen


def sweep_daily(now: datetime) -> None:
    """Sweep, unless that was done within a day, or the clock is not to be trusted.

    After a month without a sweep nothing goes before the next day: a machine may have begun with a wrong
    clock, and what leaves by that is gone for good.
    """
    done = instance.get(_DONE) or {}
    at = done.get("looked_at", done.get("at"))
    since = now - datetime.fromisoformat(at) if at is not None else DAILY
    # One in the future was under a wrong clock.
    if -points.CLOCK_SLACK < since < DAILY or clock.jump() is not None or clock.is_settling():
        return
    if since > DOUBTED_AFTER:
        instance.put(_DONE, {**done, "looked_at": now.isoformat()})
    else:
        sweep(now)


def sweep(now: datetime | None = None) -> dict[str, int]:
    """Remove the records that are older than their ages; return how many, by what they are."""
    now, limits = now or utc_now(), ages()
    logs, jobs_before = now - timedelta(days=limits.logs), now - timedelta(days=limits.jobs)
    removed = {
        "log lines": _remove(JobLog, _old_lines(logs)),
        "runs": _remove(ScheduledRun, _old_runs(jobs_before)),
        "alerts": _remove(Alert, _unneeded(Alert, Alert.resolved_at < now - timedelta(days=limits.alerts))),
        "points": _remove_points(jobs_before),
        "jobs": _remove(Job, _old_jobs(jobs_before)),
        "failed logins": _remove(
            LoginFailure, select(LoginFailure.id).where(LoginFailure.at < now - FAILURES_FOR)
        ),
        "audit entries": audit_age.trim(now - timedelta(days=limits.audit)),
    }
    instance.put(_DONE, {"at": now.isoformat(), "removed": removed})
    return removed


def state() -> State:
    """Return how large the records are."""
    done = instance.get(_DONE) or {}
    tables = {"jobs": Job, "log lines": JobLog, "points": Point, "copies": Copy, "alerts": Alert}
    rows = {
        name: db.session.scalar(select(func.count()).select_from(model)) or 0
        for name, model in tables.items()
    }
    at = datetime.fromisoformat(done["at"]) if done else None
    return State(_files(), rows, at, done.get("removed", {}))


def _files() -> dict[str, int]:
    """Return the size of the database, the queues and the cache, as far as they lie in the data folder."""
    folder = app_state.settings().data_dir
    sizes = {"database": 0, "queues": 0, "cache": 0}
    for name in os.listdir(folder):  # not below: somebody may keep backups there
        if ".db" in name:
            sizes["queues" if name.startswith(("queue.", "tick.")) else "database"] += _size_of(folder, name)
    for path, _, names in os.walk(os.path.join(folder, "cache")):
        sizes["cache"] += sum(_size_of(path, name) for name in names)
    return sizes


def _size_of(folder: str, name: str) -> int:
    try:
        return os.lstat(os.path.join(folder, name)).st_size
    except FileNotFoundError:
        return 0  # caches come and go


def _remove(model: type[Base], old: Select[Any]) -> int:
    """Delete the rows whose ids a query names, batch by batch; return how many."""
    ids, total = db.session.scalars(old).all(), 0
    db.session.rollback()
    key = model.__table__.c.id
    for start in range(0, len(ids), BATCH):
        chunk = ids[start : start + BATCH]
        with write() as session:
            session.execute(delete(model).where(key.in_(chunk)))
        total += len(chunk)
    return total


def _old_lines(before: datetime) -> Select[Any]:
    """Name the lines of old jobs; those that say what a point lacks stay as long as the point."""
    there = exists().where(Point.job_id == JobLog.job_id, Point.copies.any(_is_there()))
    return select(JobLog.id).join(Job).where(Job.ended_at < before, or_(JobLog.level == "info", ~there))


def _old_runs(before: datetime) -> Select[Any]:
    newer = aliased(ScheduledRun)
    followed = exists().where(newer.config_id == ScheduledRun.config_id, newer.due_at > ScheduledRun.due_at)
    return select(ScheduledRun.id).where(ScheduledRun.due_at < before, followed)


def _old_jobs(before: datetime) -> Select[Any]:
    """Name old jobs that nothing refers to; the newest of each sort and end stays."""
    newest = select(func.max(Job.id)).group_by(Job.kind, Job.config_id, Job.repository_id, Job.status)
    return _unneeded(Job, and_(Job.status.in_(ENDED), Job.ended_at < before, Job.id.not_in(newest)))


def _unneeded(model: type[Base], old: ColumnElement[bool]) -> Select[Any]:
    """Name the rows that are old and that no row of any table refers to, but for what goes with them."""
    table = model.__table__
    needed = [
        exists().where(column == table.c.id)
        for other in Base.metadata.tables.values()
        for column in other.c
        for key in column.foreign_keys
        if key.column.table is table and key.ondelete != "CASCADE"
    ]
    return select(table.c.id).where(old, *(~each for each in needed))


def _remove_points(before: datetime) -> int:
    """Remove points that no storage keeps any more, with their copies, if no restore speaks of them."""
    gone = and_(
        ~Point.copies.any(_is_there()),
        ~Point.copies.any(or_(Copy.forgotten_at >= before, Copy.lost_at >= before)),
        Point.created_at < before,
    )
    ids: Sequence[int] = [
        point_id for point_id in db.session.scalars(select(Point.id).where(gone)) if not _is_needed(point_id)
    ]
    db.session.rollback()
    for start in range(0, len(ids), BATCH):
        chunk = ids[start : start + BATCH]
        with write() as session:
            session.execute(delete(Copy).where(Copy.point_id.in_(chunk)))
            session.execute(delete(Point).where(Point.id.in_(chunk)))
    return len(ids)


def _is_needed(point_id: int) -> bool:
    """Tell whether any row but its own copies refers to a point, or one to those."""
    for table in Base.metadata.tables.values():
        for column in table.c:
            for key in column.foreign_keys:
                if key.column.table is Point.__table__ and table is not Copy.__table__:
                    wanted = column == point_id
                elif key.column.table is Copy.__table__:
                    wanted = column.in_(select(Copy.id).where(Copy.point_id == point_id))
                else:
                    continue
                if db.session.scalar(select(func.count()).select_from(table).where(wanted)):
                    return True
    return False


def _is_there() -> ColumnElement[bool]:
    return Copy.forgotten_at.is_(None) & Copy.lost_at.is_(None)
