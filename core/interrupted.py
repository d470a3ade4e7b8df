"""Jobs whose process is gone: found, marked as interrupted, alerted. Never because another worker starts."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select, update

from core import attempts, job_alerts, processes
from core.db import db, utc_now, write
from core.models import Job

# After such a silence a process is taken for dead: one that nobody can see, one that is seen to run.
SILENT_FOR = timedelta(minutes=2)
SILENT_THOUGH_ALIVE = timedelta(minutes=30)

_log = logging.getLogger(__name__)


def mark_interrupted() -> list[int]:
    """Find running jobs whose process is dead or silent; mark and alert them. Return their ids."""
    now = attempts.database_now(db.session())
    running = list(db.session.scalars(select(Job).where(Job.status == "running")))
    lost = [(job.id, job.attempt, why) for job in running if (why := _why_lost(job, now))]
    db.session.rollback()
    return [job_id for job_id, attempt, why in lost if interrupt(job_id, attempt, why)]


def interrupt(job_id: int, attempt: int, why: str, detail: str = "") -> bool:
    """Mark one attempt as interrupted, if it is still said to run; raise the alert. Tell whether it was."""
    with write() as session:
        query = update(Job).where(Job.id == job_id, Job.attempt == attempt, Job.status == "running")
        done = session.execute(
            query.values(
                status="interrupted",
                ended_at=utc_now(),
                phase="",
                current_path="",
                summary=f"The job was interrupted: {why}.",
                meaning="It made no new point, unless the list shows one. Every earlier point is whole.",
                advice="Run it again. What was stored already is not stored a second time.",
                detail=detail,
            )
        )
        if done.rowcount != 1:  # type: ignore[attr-defined]
            return False
    _log.warning("job %s was interrupted: %s", job_id, why)
    job_alerts.tell(job_id)
    return True


def _why_lost(job: Job, now: object) -> str:
    if processes.is_dead(job):
        return "its process ended without a word (killed, out of memory, or the machine was restarted)"
    beat = job.heartbeat_at or job.started_at
    limit = SILENT_THOUGH_ALIVE if processes.is_alive(job) else SILENT_FOR
    if beat is None or now - beat > limit:  # type: ignore[operator]
        return f"its process has not been heard of for more than {int(limit.total_seconds() // 60)} minutes"
    return ""
