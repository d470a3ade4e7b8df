"""Streams out of a repository, under a shared lock that lives as long as the stream.

A web process that is killed leaves such a lock behind. So who holds it is noted in the database, by the
lock's id, where core.dead_locks finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core import processes
from core.db import db, write
from core.models import InstanceValue
from core.processes import ProcessName
from repository.locks import lock_repository
from repository.repository import Repository

_PREFIX = "download_lock:"

_log = logging.getLogger(__name__)


class Download:
    """An iterator of bytes that holds a shared lock until it is exhausted, fails, or is closed.

    Its first piece is read at once: an error then is raised here, not in the middle of an answer.
    """

    def __init__(self, repo: Repository, make: Callable[[], Iterator[bytes]]) -> None:
        self._holder = _Holder(db.engine)
        self._lock = lock_repository(repo, on_lock_id=self._holder.note)
        try:
            self._rest = make()
            self._first = next(self._rest, None)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        try:
            return next(self._rest) if first is None else first
        except BaseException:  # also at the ordinary end
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back; again is fine. A web server calls it when the client has gone."""
        self._lock.release()
        self._holder.drop()


class _Holder:
    """Notes which locks this process holds. Called from threads without the app's context, at any time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: list[str] = []

    def note(self, lock_id: str) -> None:
        me = processes.this_process()
        value = {"node": me.node, "boot_id": me.boot_id, "pid": me.pid, "pid_started": me.pid_started}
        self._noted.append(_PREFIX + lock_id)
        self._write(lambda session: session.add(InstanceValue(key=_PREFIX + lock_id, value=value)))

    def drop(self) -> None:
        noted, self._noted = self._noted, []
        if noted:
            gone = delete(InstanceValue).where(InstanceValue.key.in_(noted))
            self._write(lambda session: session.execute(gone))

    def _write(self, change: Callable[[Session], object]) -> None:
        try:
            with Session(self._engine) as session, session.begin():
                change(session)
        except SQLAlchemyError as error:
            # The download itself is not in danger; at worst its lock has to be removed by hand one day.
            _log.warning("the lock of a download could not be noted: %s", error)


def holders(lock_ids: set[str]) -> dict[str, ProcessName]:
    """Return who holds the locks that belong to downloads."""
    rows = db.session.scalars(select(InstanceValue).where(InstanceValue.key.startswith(_PREFIX)))
    found = {row.key.removeprefix(_PREFIX): ProcessName(**row.value) for row in rows}
    return {lock_id: process for lock_id, process in found.items() if lock_id in lock_ids}


def forget_holders(lock_ids: list[str]) -> None:
    """Drop the notes about locks that were removed."""
    keys = [_PREFIX + lock_id for lock_id in lock_ids]
    with write() as session:
        session.execute(delete(InstanceValue).where(InstanceValue.key.in_(keys)))
