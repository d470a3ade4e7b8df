"""Locks that dead jobs of ours left on a repository, and only those."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import select

from core import attempts, downloads, processes
from core.db import db
from core.models import Job
from repository.files import list_files
from repository.locks import remove_lock
from repository.repository import Repository

SILENT_FOR = timedelta(minutes=30)

_log = logging.getLogger(__name__)


def remove_dead_locks(repo: Repository) -> list[str]:
    """Remove the locks of jobs and downloads of ours whose process is proven dead; return their ids.

    Locks of anybody else stay: a hostname and a process id prove nothing (containers repeat them).
    """
    held = {file.id.hex() for file in list_files(repo.storage, "locks")}
    if not held:
        return []
    rows = list(db.session.scalars(select(Job).where(Job.lock_id.in_(held))))
    now = attempts.database_now(db.session())
    dead = [job.lock_id for job in rows if _is_dead(job, now)]
    left = [lock_id for lock_id, holder in downloads.holders(held).items() if processes.is_dead(holder)]
    db.session.rollback()
    for lock_id in dead + left:
        remove_lock(repo, bytes.fromhex(lock_id))
        _log.info("removed the lock %s of a process that is dead", lock_id[:8])
    if left:
        downloads.forget_holders(left)
    return dead + left


def _is_dead(job: Job, now: datetime) -> bool:
    if processes.is_dead(job):
        return True
    silent = job.heartbeat_at is None or now - job.heartbeat_at > SILENT_FOR
    return silent and not processes.is_alive(job)
