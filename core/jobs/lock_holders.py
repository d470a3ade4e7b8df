"""Who holds repository locks that stand on no job row: downloads of web processes, a copy's source.

A process that is killed leaves such a lock behind. So who holds it is noted in the database, by the lock's
id, where core.jobs.dead_locks finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.db import db, write
from core.jobs import processes
from core.jobs.processes import ProcessName
from core.models import InstanceValue, Job
from repository.files import list_files
from repository.repository import Repository

# Also of copies by now; the name stays, since rows may have it.
_PREFIX = "download_lock:"

_log = logging.getLogger(__name__)


class Holder:
    """Notes which locks this process holds. Called from threads without the app's context, at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: list[str] = []

    def note(self, lock_id: str) -> None:
        """Note a lock file that was written."""
        me = processes.this_process()
        value = {"node": me.node, "boot_id": me.boot_id, "pid": me.pid, "pid_started": me.pid_started}
        self._noted.append(_PREFIX + lock_id)
        self._write(lambda session: session.add(InstanceValue(key=_PREFIX + lock_id, value=value)))

    def drop(self) -> None:
        """Forget all that was noted: the lock is given back."""
        noted, self._noted = self._noted, []
        if noted:
            gone = delete(InstanceValue).where(InstanceValue.key.in_(noted))
            self._write(lambda session: session.execute(gone))

    def _write(self, change: Callable[[Session], object]) -> None:
        try:
            with Session(self._engine) as session, session.begin():
                change(session)
        except SQLAlchemyError as error:
            # What is read under it is not in danger; at worst the lock has to be removed by hand one day.
            _log.warning("the lock of a reader could not be noted: %s", error)


def holders(lock_ids: set[str]) -> dict[str, ProcessName]:
    """Return who holds those of the locks that are noted here."""
    rows = db.session.scalars(select(InstanceValue).where(InstanceValue.key.startswith(_PREFIX)))
    found = {row.key.removeprefix(_PREFIX): ProcessName(**row.value) for row in rows}
    return {lock_id: process for lock_id, process in found.items() if lock_id in lock_ids}


def are_all_ours(repo: Repository) -> bool:
    """Tell whether jobs and downloads of ours hold locks there, and nobody else: those end by themselves."""
    held = {file.id.hex() for file in list_files(repo.storage, "locks")}
    running = select(Job.lock_id).where(Job.lock_id.in_(held), Job.status == "running")
    ours = set(db.session.scalars(running)) | holders(held).keys()
    db.session.rollback()
    return bool(held) and held == ours


def forget_holders(lock_ids: list[str]) -> None:
    """Drop the notes about locks that were removed."""
    keys = [_PREFIX + lock_id for lock_id in lock_ids]
    with write() as session:
        session.execute(delete(InstanceValue).where(InstanceValue.key.in_(keys)))
