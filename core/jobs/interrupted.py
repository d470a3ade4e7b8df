"""Jobs whose process is gone: found, marked as interrupted, alerted. Never because another worker starts."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from sqlalchemy import select

from core import words
from core.alerting import job_alerts
from core.db import db, utc_now, write
from core.jobs import attempts, outcomes, processes
from core.jobs.joblog import storable
from core.models import Job
from core.restores import restores

# After such a silence a process is taken for dead: one that nobody can see, one that is seen to run.
SILENT_FOR = timedelta(minutes=2)
SILENT_THOUGH_ALIVE = timedelta(minutes=30)
# A machine that wakes up has had no heartbeat for hours. So one look is not enough at a process that is seen
# to run: it gets some beats' time, awake, to be heard of.
LOOKS_APART_S = 20.0

_log = logging.getLogger(__name__)
_first_looks: dict[tuple[int, int, datetime | None], float] = {}


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
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.attempt != attempt or job.status != "running":
            return False
        job.status, job.ended_at, job.phase, job.current_path = "interrupted", utc_now(), "", ""
        job.bytes_rate = None
        job.summary = words.ended(job_alerts.interruption(why))
        job.meaning = outcomes.half_done(job.kind)
        if job.kind == "restore":
            job.meaning = restores.half_done(job_id, killed=True)
        job.advice = "Run it again. What was stored already is not stored a second time."
        job.detail = storable(detail)
    _log.warning("job %s was interrupted: %s", job_id, why)
    job_alerts.tell(job_id)
    return True


def _why_lost(job: Job, now: datetime) -> str:
    if processes.is_dead(job):
        return "its process ended without a word (killed, out of memory, or the machine was restarted)"
    beat = job.heartbeat_at or job.started_at
    alive = processes.is_alive(job)
    limit = SILENT_THOUGH_ALIVE if alive else SILENT_FOR
    if (beat is None or now - beat > limit) and not (alive and _is_first_look(job)):
        return f"its process has not been heard of for more than {int(limit.total_seconds() // 60)} minutes"
    return ""


def _is_first_look(job: Job) -> bool:
    """Tell whether this process has not seen the very same heartbeat some time ago, by a clock that stands
    still while the machine sleeps."""
    key, now = (job.id, job.attempt, job.heartbeat_at), time.monotonic()
    for old in [each for each in _first_looks if each[0] == job.id and each != key]:
        del _first_looks[old]
    return now - _first_looks.setdefault(key, now) < LOOKS_APART_S
