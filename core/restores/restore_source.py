"""The copies of a point that a restore reads: the first whose storage answers, and the next if that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from core.db import db
from core.errors import HoldfastError, NotFound, Unreachable
from core.jobs.attempts import Attempt
from core.jobs.dead_locks import remove_dead_locks
from core.jobs.outcomes import sentence
from core.models import Copy, Point
from core.points import points
from core.storages import providers, storages
from repository.errors import (
    BlobNotFound,
    Damaged,
    LockLost,
    NoRepository,
    SnapshotNotFound,
    WrongPassword,
)
from repository.locks import lock_repository
from repository.repository import Repository
from repository.snapshot import Snapshot
from storage_adapters.errors import StorageError

T = TypeVar("T")

# What is the matter with one copy, so that another may do. Not: cancelled, a full target, somebody's lock.
UNREADABLE = (
    Unreachable, StorageError, Damaged, BlobNotFound, SnapshotNotFound, NoRepository, WrongPassword, LockLost,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RestoreSource:
    """The copy that is read."""

    copy_id: int
    name: str  # of its storage
    snapshot_id: bytes

    def load_snapshot(self, repo: Repository) -> Snapshot:
        """Return its snapshot. Raises SnapshotNotFound, Damaged, also if it is not the point's any more."""
        snapshot = repo.load_snapshot(self.snapshot_id)
        points.require_same(db.session.get_one(Copy, self.copy_id).point, snapshot)
        db.session.rollback()
        return snapshot


@dataclass(slots=True)
class Sources:
    """The copies that a restore may read. Those that it cannot use are passed over, and that is told.

    `left`: those not tried yet, in order. `failed`: names of storages that failed in the middle.
    """

    attempt: Attempt
    left: list[int]
    away: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _first: Exception | None = None

    def read(self, use: Callable[[RestoreSource, Repository], T]) -> tuple[RestoreSource, T]:
        """Call `use` with the first copy that answers, under a shared lock; if it fails, with the next.

        Raises what was wrong with the first if none can be read, and at once what is no copy's fault.
        """
        while True:
            source, repo = self._open()
            try:
                remove_dead_locks(repo)
                with lock_repository(repo, on_lock_id=self.attempt.hold_lock):
                    return source, use(source, repo)
            except UNREADABLE as error:
                self._note_failure(source, error)
            finally:
                repo.close()

    def told(self, source: RestoreSource) -> str:
        """Say which copy was read, where there are several."""
        live = [copy.repository.storage for copy in self._point(source).copies if points.is_live(copy)]
        if len(live) < 2:
            return ""
        if self.failed:
            begun = " and ".join(dict.fromkeys(self.failed))
            return f" Begun from {begun}, which could not be read to the end; finished from {source.name}."
        gone = {storage.name for storage in live if storage.unreachable_since is not None} | set(self.away)
        names = sorted(gone - {source.name})
        are = "is" if len(names) == 1 else "are"
        away = f"; {' and '.join(names)} {are} unreachable" if names else ""
        return f" Read from {source.name}{away}."

    def _point(self, source: RestoreSource) -> Point:
        return db.session.get_one(Copy, source.copy_id).point

    def _open(self) -> tuple[RestoreSource, Repository]:
        while self.left:
            copy = db.session.get_one(Copy, self.left.pop(0))
            name, snapshot = copy.repository.storage.name, copy.snapshot_id
            try:
                if self.left:  # there are others: a quick look tells whether to wait for this one
                    storages.open_adapter(copy.repository.storage, providers.QUICK).close()
                repo = storages.open_repository(copy.repository)
            except UNREADABLE as error:
                db.session.rollback()
                self._first = self._first or error
                if isinstance(error, Unreachable):
                    self.away.append(name)
                self.attempt.log.add("warning", _message(error))
                continue
            self.attempt.log.add("info", f"Reading from {name}, snapshot {snapshot[:8]}.")
            return RestoreSource(copy.id, name, bytes.fromhex(snapshot)), repo
        raise self._first or NotFound("The point that was to be restored is gone.", "Choose another one.")

    def _note_failure(self, source: RestoreSource, error: Exception) -> None:
        """Keep what went wrong with the first copy, explained by its storage if that has gone."""
        db.session.rollback()
        storage = db.session.get_one(Copy, source.copy_id).repository.storage
        found = storages.gone_behind([storage], error)
        self._first = self._first or found
        if not self.left:
            raise self._first
        self.failed.append(source.name)
        why = _message(found)
        self.attempt.log.add(
            "warning", f"{source.name} failed in the middle. {why} Going on from another copy."
        )


def sources(attempt: Attempt, point: Point, chosen: int | None) -> Sources:
    """Return the copies to try, in order; only the one that a person has chosen. Raises NotFound."""
    best = points.best_copy(point, chosen)
    return Sources(attempt, [copy.id for copy in ([best] if chosen is not None else points.in_order(point))])


def _message(error: Exception) -> str:
    return error.message if isinstance(error, HoldfastError) else sentence(str(error))
