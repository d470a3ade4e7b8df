"""Change the tags of snapshots: a new file takes the place of the old one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from repository.errors import RepositoryError
from repository.locks import Lock
from repository.repository import Repository


@dataclass(frozen=True, slots=True)
class TagChange:
    """`replace` takes the place of all tags if it is not None; then `remove` go, and `add` come."""

    replace: Sequence[str] | None = None
    add: Sequence[str] = ()
    remove: Sequence[str] = ()

    def apply(self, tags: Sequence[str]) -> list[str]:
        """Return the tags that a snapshot with these has afterwards, none of them empty or twice."""
        kept = [tag for tag in (tags if self.replace is None else self.replace) if tag not in self.remove]
        return [tag for tag in dict.fromkeys([*kept, *self.add]) if tag]


@dataclass(slots=True)
class TagResult:
    """The snapshots that changed, as (old id, new id), and those that had these tags already."""

    changed: list[tuple[bytes, bytes]] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)


def tag(repo: Repository, snapshot_ids: Sequence[bytes], change: TagChange, lock: Lock) -> TagResult:
    """Change the tags of these snapshots, under an exclusive lock that the caller holds.

    Each gets a new id; `original` names its first one. Raises SnapshotNotFound, Damaged, LockLost,
    StorageError: killed in between, a snapshot is there in both versions.
    """
    if not lock.exclusive:
        raise RepositoryError("changing tags needs an exclusive lock, and this one is shared")
    result = TagResult()
    for snapshot_id in snapshot_ids:
        snapshot = repo.load_snapshot(snapshot_id)
        tags = change.apply(snapshot.tags)
        if tags == snapshot.tags:
            result.unchanged.append(snapshot_id)
            continue
        changed = replace(snapshot, tags=tags, original=snapshot.original or snapshot_id)
        lock.check()
        new_id = repo.save_snapshot(changed)
        lock.check()
        repo.remove_snapshot(snapshot_id)
        result.changed.append((snapshot_id, new_id))
    return result
