"""Repositories kept open for reading in this process: opening one costs a key derivation and its index."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from core.errors import Unreachable
from core.models import RepositoryRecord
from core.storages import providers, storages
from repository.repository import Repository
from repository.snapshot import Snapshot

_SNAPSHOTS_KEPT = 200


@dataclass(slots=True)
class Opened:
    """An open repository with its index loaded. Safe for several threads."""

    repo: Repository
    _snapshots: OrderedDict[bytes, Snapshot] = field(default_factory=OrderedDict)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def snapshot(self, snapshot_id: bytes) -> Snapshot:
        """Return a snapshot, from memory if it was asked for before. Raises SnapshotNotFound, Damaged."""
        with self._mutex:
            known = self._snapshots.get(snapshot_id)
        if known is not None:
            return known
        loaded = self.repo.load_snapshot(snapshot_id)
        with self._mutex:
            self._snapshots[snapshot_id] = loaded
            while len(self._snapshots) > _SNAPSHOTS_KEPT:
                self._snapshots.popitem(last=False)
        return loaded


_opened: dict[str, Opened] = {}
_failures: dict[str, tuple[float, Unreachable]] = {}  # when, by time.monotonic(), and what
_mutexes: dict[str, threading.Lock] = {}
_mutex = threading.Lock()


def get(record: RepositoryRecord) -> Opened:
    """Return the repository, opened now if it is not yet. Raises as storages.open_repository.

    Whoever waited while another found the storage out of reach is told so at once, not after as long again.
    """
    asked_at = time.monotonic()
    with _mutex_of(record):
        failed_at, failure = _failures.get(record.id, (asked_at, None))
        if failure is not None and failed_at > asked_at:
            raise Unreachable(failure.message, failure.advice)
        known = _opened.get(record.id)
        if known is not None and record.storage.unreachable_since is not None:
            known = _opened.pop(record.id)  # it answered once; whether it does now, a look tells sooner
            _look(record)
            _opened[record.id] = known
        return known or _open(record)


def reload(record: RepositoryRecord, stale: Opened) -> Opened:
    """Open it anew, because `stale` misses something; if another thread just did, return that."""
    with _mutex_of(record):
        now = _opened.get(record.id)
        if now is not None and now is not stale:
            return now
        _opened.pop(record.id, None)
        # The stale one is not closed: another thread may be reading from it. It goes with its last reader.
        return _open(record)


def forget_all() -> None:
    """Drop every open repository (after their rows changed, and between tests)."""
    with _mutex:
        _opened.clear()
        _failures.clear()


def _open(record: RepositoryRecord) -> Opened:
    _look(record)
    try:
        # Quick: somebody waits, or has another copy.
        repo = storages.open_repository(record, patience=providers.QUICK)
    except Unreachable as error:
        _note_failure(record, error)
        raise
    _failures.pop(record.id, None)
    try:
        repo.load_index()
    except BaseException:
        repo.close()
        raise
    _opened[record.id] = Opened(repo)
    return _opened[record.id]


def _look(record: RepositoryRecord) -> None:
    """Raise Unreachable if its storage does not answer within what a page waits for."""
    try:
        storages.open_adapter(record.storage, providers.AT_A_PAGE).close()
    except Unreachable as error:
        _note_failure(record, error)
        raise


def _note_failure(record: RepositoryRecord, error: Unreachable) -> None:
    _failures[record.id] = time.monotonic(), Unreachable(error.message, error.advice)


def _mutex_of(record: RepositoryRecord) -> threading.Lock:
    with _mutex:
        return _mutexes.setdefault(record.id, threading.Lock())
