"""Locks that dead jobs of ours left on a repository, and only those."""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import datetime, timedelta

from sqlalchemy import select

from core.db import db
from core.jobs import attempts, lock_holders, processes
from core.models import Job
from repository.files import list_files
from repository.lockfile import STALE_AFTER_NS
from repository.locks import list_locks, remove_lock
from repository.repository import Repository

SILENT_FOR = timedelta(minutes=30)

_log = logging.getLogger(__name__)


def remove_dead_locks(repo: Repository) -> list[str]:
    """Remove the locks of jobs and downloads of ours whose process is proven dead; return their ids.

    Killed between writing a lock and noting it, a job leaves one that no row knows. Such a lock goes by
    restic's rule: of this host, not refreshed for 30 minutes, and of a process that is gone. Any one of
    these alone proves nothing (containers repeat hostnames and process ids), so locks of others stay.
    """
    held = {file.id.hex() for file in list_files(repo.storage, "locks")}
    if not held:
        return []
    rows = list(db.session.scalars(select(Job).where(Job.lock_id.in_(held))))
    now = attempts.database_now(db.session())
    dead = [job.lock_id for job in rows if _is_dead(job, now)]
    holders = lock_holders.holders(held)
    left = [lock_id for lock_id, holder in holders.items() if processes.is_dead(holder)]
    unknown = held - holders.keys() - {job.lock_id for job in rows}
    db.session.rollback()
    stale = _stale(repo, unknown) if unknown else []
    for lock_id in dead + left + stale:
        remove_lock(repo, bytes.fromhex(lock_id))
        _log.info("removed the lock %s of a process that is dead", lock_id[:8])
    if left:
        lock_holders.forget_holders(left)
    return dead + left + stale


def _stale(repo: Repository, lock_ids: set[str]) -> list[str]:
    """Return which of these locks restic's rule gives up. Raises Damaged for a lock that cannot be read."""
    hostname, now_ns = socket.gethostname(), time.time_ns()
    return [
        lock_id.hex()
        for lock_id, info in list_locks(repo)
        if lock_id.hex() in lock_ids
        and info.hostname == hostname
        and now_ns - info.time_ns > STALE_AFTER_NS
        and not _pid_exists(info.pid)
    ]


def _pid_exists(pid: int) -> bool:
    if pid <= 0:
        return True  # these name process groups: no proof of anything
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_dead(job: Job, now: datetime) -> bool:
    if processes.is_dead(job):
        return True
    silent = job.heartbeat_at is None or now - job.heartbeat_at > SILENT_FOR
    return silent and not processes.is_alive(job)
