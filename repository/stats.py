"""How much is in snapshots, counted in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from repository.ids import hash_bytes
from repository.lookup import load_tree
from repository.packfile import BlobType
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node

Mode = Literal["restore-size", "files-by-contents", "raw-data"]
MODES: tuple[Mode, ...] = ("restore-size", "files-by-contents", "raw-data")


@dataclass(slots=True)
class Stats:
    """The sums. `plain_bytes`: what the blobs of `raw-data` hold, not compressed."""

    snapshots: int = 0
    files: int = 0
    blobs: int = 0
    bytes: int = 0
    plain_bytes: int = 0


def stats(repo: Repository, snapshots: Iterable[Snapshot], mode: Mode) -> Stats:
    """Count. Raises Damaged, BlobNotFound.

    restore-size: what a restore of each of them writes, `files` being entries of all kinds, as in restic.
    files-by-contents: each content once, wherever it is. raw-data: what is stored of all they need.
    """
    counters: dict[Mode, Callable[[Repository, list[Snapshot], Stats], None]] = {
        "restore-size": _count_restore,
        "files-by-contents": _count_contents,
        "raw-data": _count_raw,
    }
    chosen = list(snapshots)
    result = Stats(len(chosen))
    counters[mode](repo, chosen, result)
    return result


def _count_restore(repo: Repository, snapshots: list[Snapshot], result: Stats) -> None:
    for snapshot in snapshots:
        linked: set[tuple[int, int]] = set()
        for node in _nodes(repo, [snapshot.tree], set()):
            result.files += 1
            name = (node.device_id, node.inode)
            if node.type != "file" or (node.links > 1 and name in linked):
                continue
            if node.links > 1:
                linked.add(name)
            result.bytes += node.size


def _count_contents(repo: Repository, snapshots: list[Snapshot], result: Stats) -> None:
    known: set[bytes] = set()
    for node in _nodes(repo, [snapshot.tree for snapshot in snapshots], seen=set(), once=True):
        if node.type == "file" and node.content is not None:
            content = hash_bytes(b"".join(node.content))
            if content not in known:
                known.add(content)
                result.files += 1
                result.bytes += node.size


def _count_raw(repo: Repository, snapshots: list[Snapshot], result: Stats) -> None:
    trees: set[bytes] = set()
    data: set[bytes] = set()
    for node in _nodes(repo, [snapshot.tree for snapshot in snapshots], trees, once=True):
        data.update(node.content or ())
    kinds: tuple[tuple[BlobType, set[bytes]], ...] = (("tree", trees), ("data", data))
    for kind, ids in kinds:
        for blob in ids:
            if places := repo.index.lookup(kind, blob):
                result.blobs += 1
                result.bytes += places[0].length
                result.plain_bytes += places[0].plain_length


def _nodes(
    repo: Repository, roots: Iterable[bytes], seen: set[bytes], *, once: bool = False
) -> Iterator[Node]:
    """Yield everything below these trees; `once`: look into each tree once; `seen` holds all of them then."""
    pending = list(roots)
    while pending:
        tree = pending.pop()
        if once and tree in seen:
            continue
        seen.add(tree)
        for node in load_tree(repo, tree):
            yield node
            if node.type == "dir" and node.subtree is not None:
                pending.append(node.subtree)
