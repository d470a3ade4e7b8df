"""How many jobs may work on a host at a time: places that end with the job, however that ends."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.jobs import attempts
from core.jobs.attempts import Attempt, WaitingForJob
from core.models import Host, Job


class HostBusy(WaitingForJob):
    """As many jobs as may be work on the host."""


def take_place(attempt: Attempt, host_id: str) -> None:
    """Take one of the places on a host, until the job ends. Raises HostBusy if all are taken, AttemptLost."""
    attempts.write_also(attempt, lambda session: _take(session, attempt.job_id, host_id))


def _take(session: Session, job_id: int, host_id: str) -> None:
    host = session.get(Host, host_id, with_for_update=True)
    if host is None:
        return  # whoever needs it says that it is gone
    there = select(Job.id).where(Job.host_id == host_id, Job.status == "running", Job.id != job_id)
    busy = session.scalars(there.order_by(Job.id)).all()
    if len(busy) >= host.parallel_jobs:
        most = "one job" if host.parallel_jobs == 1 else f"{host.parallel_jobs} jobs"
        raise HostBusy(f"{host.name} is busy: job {busy[0]} works there, and at most {most} may at a time")
    session.get_one(Job, job_id).host_id = host_id
