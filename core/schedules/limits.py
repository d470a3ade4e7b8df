"""How many backups and copies may run at once on a storage, and from a host; the others wait their turn.

What begins by itself waits for the end of its config's quiet hours, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import input_sentences, instance, words
from core.db import db, utc_now, write
from core.errors import Invalid
from core.models import Config, Job, RepositoryRecord
from core.retention.retention_rules import blank_is_none
from core.schedules import run_times

LOOK_AGAIN_AFTER = timedelta(seconds=60)
THIS_MACHINE = "this machine"
_KEY = "limits"
_BY_THEMSELVES = ("schedule", "retry")
_LIMITED = ("backup", "copy")  # what a person waits for, and what makes room, never waits for these

Most = Annotated[Annotated[int, Field(ge=1, le=100)] | None, BeforeValidator(blank_is_none)]


class Limits(BaseModel):
    """How many at once; None: as many as the worker has slots."""

    model_config = ConfigDict(extra="forbid")

    per_storage: Most = None
    per_host: Most = None


def current(session: Session | None = None) -> Limits:
    """Return the limits."""
    return Limits.model_validate(instance.get_in(session or db.session(), _KEY) or {})


def change(given: dict[str, Any]) -> Limits:
    """Set the limits. Raises Invalid."""
    try:
        chosen = Limits.model_validate(given)
    except ValidationError as error:
        raise Invalid(input_sentences.of(error, {})) from error
    instance.put(_KEY, chosen.model_dump())
    return chosen


def hold_back(job_id: int) -> bool:
    """Tell whether a queued job has to wait its turn, and note on it why."""
    job = db.session.get(Job, job_id)
    if job is None or job.status != "queued" or not why_not(db.session(), job):
        return False
    with write() as session:
        job = session.get(Job, job_id)
        reason = why_not(session, job) if job is not None and job.status == "queued" else ""
        if job is not None and reason:
            put_off(job, reason)
        return bool(reason)


def put_off(job: Job, reason: str) -> None:
    """Let a queued job wait, in the caller's writing transaction."""
    job.phase, job.waiting_reason, job.enqueued_at = "waiting", reason, None
    job.not_before = utc_now() + LOOK_AGAIN_AFTER
    # The hour that it may wait in vain is one of tries, and here none is made.
    job.parameters = {name: value for name, value in job.parameters.items() if name != "waiting_since"}


def why_not(session: Session, job: Job) -> str:
    """Return why a job may not begin now; "" if it may."""
    if (until := quiet_until(job)) is not None:
        zone = job.config.timezone if job.config else "UTC"
        return f"its config has quiet hours until {words.moment(until, zone)}"
    limits = current(session)
    if job.kind not in _LIMITED or (limits.per_storage is None and limits.per_host is None):
        return ""
    running = list(_running(session, job))
    storage_id, host = _storage_of(session, job), _host_of(job)
    same_storage = sum(_storage_of(session, other) == storage_id for other in running)
    if limits.per_storage is not None and storage_id and same_storage >= limits.per_storage:
        return f"{_jobs(same_storage)} its storage already, as many as may at once"
    same_host = sum(_host_of(other) == host for other in running)
    if limits.per_host is not None and host and same_host >= limits.per_host:
        return f"{_jobs(same_host)} {host} already, as many as may at once"
    return ""


def quiet_until(job: Job, now: datetime | None = None) -> datetime | None:
    """Return when the quiet hours end that keep a queued job from beginning; None if none do.

    What a person started begins at once, and so does a copy that follows a backup.
    """
    if job.kind not in _LIMITED or job.trigger not in _BY_THEMSELVES or job.config is None:
        return None
    now = now or utc_now()
    free_at = run_times.free_from(job.config, now)
    return free_at if free_at != now else None


def _jobs(number: int) -> str:
    return f"{words.count(number, 'job')} {'uses' if number == 1 else 'use'}"


def _running(session: Session, job: Job) -> Iterator[Job]:
    query = select(Job).where(Job.status == "running", Job.kind.in_(_LIMITED), Job.id != job.id)
    yield from session.scalars(query)


def _storage_of(session: Session, job: Job) -> str | None:
    """Return the storage that a job writes to, or is about to."""
    repository_id = job.repository_id
    if repository_id is None and job.config is not None and job.config.destinations:
        repository_id = job.config.destinations[0].repository_id
    record = session.get(RepositoryRecord, repository_id) if repository_id else None
    return record.storage_id if record is not None else None


def _host_of(job: Job) -> str | None:
    """Return what a backup reads from; a copy reads from no host."""
    config: Config | None = job.config
    if job.kind != "backup" or config is None:
        return None
    if config.source.get("host_id"):
        return None  # a host has a limit of its own: core.hosts.host_limits
    return str(config.source.get("host") or THIS_MACHINE) if config.type == "database" else THIS_MACHINE
