"""Forget snapshots: delete their files. What only they used stays until a prune."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from repository.errors import RepositoryError
from repository.locks import Lock
from repository.repository import Repository

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ForgetResult:
    """Which snapshots were removed, and which were not there any more."""

    removed: list[bytes] = field(default_factory=list)
    missing: list[bytes] = field(default_factory=list)


def forget(repo: Repository, snapshot_ids: Sequence[bytes], lock: Lock) -> ForgetResult:
    """Remove exactly these snapshots, under an exclusive lock that the caller holds.

    One that is gone already is fine and reported as missing. Raises LockLost, StorageError.
    """
    if not lock.exclusive:
        raise RepositoryError("forgetting snapshots needs an exclusive lock, and this one is shared")
    there = {file.id for file in repo.files.list("snapshots")}
    result = ForgetResult()
    for snapshot_id in snapshot_ids:
        if snapshot_id not in there:
            logger.info("the snapshot %s is not there any more", snapshot_id.hex())
            result.missing.append(snapshot_id)
            continue
        lock.check()
        repo.remove_snapshot(snapshot_id)
        result.removed.append(snapshot_id)
    return result
