"""Jobs that run and do not get on: told, and ended if they were to be done long ago.

Silence is measured awake and by no clock that can be set: from when this process first saw the same progress.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from datetime import datetime

from sqlalchemy import select

from core import words
from core.alerting import alerts
from core.configs import timing
from core.db import db, utc_now
from core.jobs import processes
from core.models import Job

TELL_AFTER_S = 30 * 60
# A backup over its longest duration ends itself at its next step; one that takes none is killed.
KILL_AFTER_S = 10 * 60

_log = logging.getLogger(__name__)
_Seen = tuple[int, int, datetime | None]
_first_seen: dict[_Seen, float] = {}


def watch(awake_s: float | None = None) -> list[int]:
    """Alert about running jobs that do not get on, resolve what does again; return those that do not.

    `awake_s`: seconds that this machine was awake, from any start.
    """
    now_s = time.monotonic() if awake_s is None else awake_s
    running = list(db.session.scalars(select(Job).where(Job.status == "running")))
    seen = {_key(job): job for job in running}
    for gone in set(_first_seen) - set(seen):
        del _first_seen[gone]
    silent = {job.id: now_s - _first_seen.setdefault(key, now_s) for key, job in seen.items()}
    stalled = [job for job in running if silent[job.id] >= TELL_AFTER_S]
    for job_id in [job.id for job in running if silent[job.id] >= KILL_AFTER_S and _is_over(job)]:
        _kill(job_id)
    _tell(stalled, silent)
    return [job.id for job in stalled]


def _key(job: Job) -> _Seen:
    return job.id, job.attempt, job.progressed_at


def _is_over(job: Job) -> bool:
    """Tell whether a job has taken longer than it may."""
    longest = timing.of(job.config).max_duration if job.kind == "backup" and job.config else None
    return (
        longest is not None
        and job.started_at is not None
        and ((utc_now() - job.started_at).total_seconds() > longest)
    )


def _kill(job_id: int) -> None:
    """Kill the process of a job, if it is beyond doubt that one: its row is then marked as interrupted."""
    job = db.session.get(Job, job_id, populate_existing=True)
    if job is None or job.status != "running" or job.pid is None or not processes.is_alive(job):
        return
    _log.warning("job %s is over its longest duration and does not get on: killed", job_id)
    try:
        os.kill(job.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended this very moment


def _tell(stalled: list[Job], silent: dict[int, float]) -> None:
    told = {f"stalled:{job.id}": job for job in stalled}
    for alert in alerts.list_open():
        if alert.kind == "stalled" and alert.subject not in told:
            alerts.resolve(alert.subject)
    for subject, job in told.items():
        if not alerts.is_open(subject):
            _raise(subject, job, silent[job.id])


def _raise(subject: str, job: Job, silent_s: float) -> None:
    about = f"Job {job.id} ({job.kind}{f' of {job.config.name}' if job.config else ''})"
    doing = f"{job.phase}{f', {job.current_path}' if job.current_path else ''}"
    alerts.raise_alert(
        subject, "stalled", "warning",
        f"{about} has not got on for {words.count(int(silent_s // 60), 'minute')}: {doing}.",
        "It may hang: on a disk or a server that does not answer. Until it ends, there is no newer point.",
        "See whether what it reads and writes answers. Cancel it if it does not end, and run it again.",
        config_id=job.config_id, job_id=job.id,
    )  # fmt: skip
