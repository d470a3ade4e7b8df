"""Which jobs use a storage just now: what must not be taken away from under them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from core.db import db
from core.models import Copy, Destination, Job, Point, Restore, Storage


def writing_to(storage: Storage) -> Job | None:
    """Return a running job that writes to a storage, or may be about to."""
    return _first((Job.status == "running") & _writes(_ids(storage)))


def using(storage: Storage) -> Job | None:
    """Return a running job that reads from a storage or writes to it, or one that waits to write there."""
    ids = _ids(storage)
    running = (Job.status == "running") & (_writes(ids) | _reads(ids))
    return _first(running | ((Job.status == "queued") & Job.repository_id.in_(ids)))


def _ids(storage: Storage) -> list[str]:
    return [record.id for record in storage.repositories]


def _first(condition: ColumnElement[bool]) -> Job | None:
    return db.session.scalar(select(Job).where(condition).order_by(Job.id).limit(1))


def _writes(repository_ids: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a job writes there, or has not said yet where it will."""
    there = select(Destination.config_id).where(Destination.repository_id.in_(repository_ids))
    not_said = Job.repository_id.is_(None) & (Job.kind != "restore")
    return Job.repository_id.in_(repository_ids) | (
        not_said & (Job.config_id.is_(None) | Job.config_id.in_(there))
    )


def _reads(repository_ids: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a job may read copies that lie there."""
    there = Copy.repository_id.in_(repository_ids)
    copied = select(Point.config_id).join(Copy).where(there)
    restored = select(Restore.job_id).join(Copy, Copy.point_id == Restore.point_id).where(there)
    return ((Job.kind == "copy") & Job.config_id.in_(copied)) | Job.id.in_(restored)
