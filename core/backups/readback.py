"""Read a sample of a snapshot back from the storage: what was stored long ago may have gone bad since."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core import instance
from core.db import write
from repository.errors import BlobNotFound, Damaged
from repository.listing_log import forget_listing
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node
from repository.tree_decode import decode_tree


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read at most; a small snapshot is read as a whole."""

    trees: int = 400
    blobs: int = 40
    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read, and found to be whole. `all`: there is nothing else in the snapshot."""

    trees: int
    blobs: int
    all: bool


def read_back(
    repo: Repository,
    snapshot_id: bytes,
    limits: Limits = Limits(),
    check: Callable[[], None] = lambda: None,
) -> tuple[Snapshot, Sample]:
    """Load a snapshot, its root, and random trees and pieces of files below it, as a restore would.

    The index must be loaded. What this machine keeps in its cache is read from the storage all the same.
    `check` is called before each read, and may raise. Raises RepositoryError or StorageError for anything
    missing or damaged; whoever writes there next then asks the storage which packs it has.
    """
    try:
        return _read_back(_without_cache(repo), snapshot_id, limits, check)
    except (Damaged, BlobNotFound):
        forget_listing(repo)
        raise


def _read_back(
    repo: Repository, snapshot_id: bytes, limits: Limits, check: Callable[[], None]
) -> tuple[Snapshot, Sample]:
    snapshot = repo.load_snapshot(snapshot_id)
    end = time.monotonic() + limits.seconds
    trees, pieces, is_all = _read_trees(repo, snapshot.tree, limits.trees, end, check)
    pieces = list(dict.fromkeys(pieces))
    read = 0
    for blob_id in random.sample(pieces, min(len(pieces), limits.blobs)):
        check()
        repo.load_blob("data", blob_id)
        read += 1
        if time.monotonic() > end:
            break
    return snapshot, Sample(trees, read, is_all and read == len(pieces))


def reject(record_id: str, snapshot_id: bytes) -> None:
    """Remember that a snapshot did not read back, so that it is not taken for a point later."""
    known = rejected(record_id)
    with write() as session:
        instance.set_in(session, _key(record_id), sorted(known | {snapshot_id.hex()}))


def accept_in(session: Session, record_id: str, snapshot_id: bytes) -> None:
    """Forget in the caller's transaction that a snapshot did not read back: by now it did."""
    known = set(instance.get_in(session, _key(record_id)) or [])
    if snapshot_id.hex() in known:
        instance.set_in(session, _key(record_id), sorted(known - {snapshot_id.hex()}))


def rejected(record_id: str) -> set[str]:
    """Return the snapshots of a repository that did not read back."""
    return set(instance.get(_key(record_id), []))


def _without_cache(repo: Repository) -> Repository:
    bare = Repository(repo.storage, repo.key, repo.config)
    bare.index = repo.index
    return bare


def _read_trees(
    repo: Repository, root: bytes, most: int, end: float, check: Callable[[], None]
) -> tuple[int, list[bytes], bool]:
    """Read up to `most` trees at random, from the root down; return how many, the pieces of files, and
    whether these were all trees."""
    waiting, pieces, read = [root], list[bytes](), 0
    while waiting and read < most and (read == 0 or time.monotonic() < end):
        check()
        place = random.randrange(len(waiting))  # noqa: S311  (a sample, not a secret)
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        nodes: list[Node] = decode_tree(repo.load_blob("tree", waiting.pop()))
        read += 1
        waiting += [node.subtree for node in nodes if node.subtree]
        pieces += [blob_id for node in nodes for blob_id in node.content or ()]
    return read, pieces, not waiting


def _key(record_id: str) -> str:
    return f"rejected_snapshots:{record_id}"
