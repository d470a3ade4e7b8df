"""What lists of jobs are filtered by."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select

from core.models import Config, Job, Restore
from core.models.job import PENDING


def status_is(status: str) -> ColumnElement[bool]:
    """Return the jobs of a status; `pending` and `ended` stand for several."""
    if status == "ended":
        return Job.status.not_in(PENDING)
    return Job.status.in_(PENDING if status == "pending" else (status,))


def is_on_host(host_id: str) -> ColumnElement[bool]:
    """Return the jobs that work on a host: they got a place there, restore to it, or wait to read it."""
    of_config = select(Config.id).where(Config.source["host_id"].as_string() == host_id)
    waits = Job.host_id.is_(None) & (Job.kind == "backup") & Job.config_id.in_(of_config)
    restores = select(Restore.job_id).where(Restore.host_id == host_id)
    return or_(Job.host_id == host_id, waits & Job.status.in_(PENDING), Job.id.in_(restores))
