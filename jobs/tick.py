"""What happens every minute. One thing that fails does not keep the others from happening."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from core.access import audit_begun
from core.alerting import clock_watch, job_alerts, recovery_reminder, silence, slow_runs, stalled
from core.backups import copying
from core.db import db, utc_now
from core.jobs import interrupted, jobs
from core.messaging import heartbeat
from core.points import catalog_job
from core.reports import housekeeping
from core.retention import cleanup
from core.schedules import pause, retries, schedules

T = TypeVar("T")

_log = logging.getLogger(__name__)


def run(now: datetime | None = None) -> list[int]:
    """Do what is due at `now`; return the jobs to put into the queue."""
    now = now or utc_now()
    troubles: list[Exception] = []
    for duty in (
        interrupted.mark_interrupted,
        job_alerts.tell_untold,
        clock_watch.watch,
        stalled.watch,
        slow_runs.watch,
        recovery_reminder.watch,
        audit_begun.settle,
    ):
        _try(duty, troubles)
    found: list[int] = []
    makers = (schedules.tick, _retries, _copies, _daily_retention, _catalog, jobs.to_enqueue)
    for maker in makers:
        found += _try(partial(maker, now), troubles) or []
    for late_duty in (silence.watch, housekeeping.sweep_daily):  # what is due has begun by now
        _try(partial(late_duty, now), troubles)
    if not troubles:
        _try(partial(heartbeat.note_tick, now), troubles)
    return list(dict.fromkeys(found))


def _try(step: Callable[[], T], troubles: list[Exception]) -> T | None:
    try:
        return step()
    except Exception as error:  # noqa: BLE001  (logged; a broken part must not keep backups from starting)
        _log.exception("a part of the minute tick failed; the others go on")
        troubles.append(error)
        return None
    finally:
        db.session.rollback()


def _retries(now: datetime) -> list[int]:
    return [] if pause.active(now) else retries.tick(now)


def _copies(now: datetime) -> list[int]:
    return [] if pause.active(now) else copying.tick(now)


def _catalog(now: datetime) -> list[int]:
    return [] if pause.active(now) else catalog_job.tick(now)


def _daily_retention(now: datetime) -> list[int]:
    job = None if pause.active(now) else cleanup.create_daily(now)
    return [] if job is None else [job.id]
