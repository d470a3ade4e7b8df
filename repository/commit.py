"""The moment at which a backup or a copy becomes real."""

from __future__ import annotations

from repository.errors import LockLost
from repository.locks import Lock
from repository.repository import Repository
from repository.snapshot import Snapshot


def commit_snapshot(repo: Repository, snapshot: Snapshot, *locks: Lock) -> bytes:
    """Save a snapshot of which all is stored, while these locks are seen to hold; return its id.

    Raises LockLost if one was removed by somebody: a prune may have deleted what the snapshot needs, so
    there is none then, also if the lock went in the very moment of saving. StorageError may pass.
    """
    _confirm(locks)
    snapshot_id = repo.save_snapshot(snapshot)
    try:
        _confirm(locks)
    except LockLost:
        repo.remove_snapshot(snapshot_id)
        raise
    return snapshot_id


def _confirm(locks: tuple[Lock, ...]) -> None:
    for lock in locks:
        lock.confirm()
