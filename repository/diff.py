"""What changed from one snapshot to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from repository.lookup import load_tree
from repository.packfile import BlobType
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node

Blob = tuple[BlobType, bytes]


@dataclass(frozen=True, slots=True)
class Change:
    """`modifier` as restic's: + added, - removed, T type, M content, U metadata; a folder ends in /."""

    path: bytes
    modifier: str


@dataclass(slots=True)
class Side:
    """What only one of the snapshots has. `bytes` is the content of the blobs, not compressed."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    bytes: int = 0

    def count(self, node: Node) -> None:
        """Count one entry."""
        if node.type == "file":
            self.files += 1
        elif node.type == "dir":
            self.dirs += 1
        else:
            self.others += 1


@dataclass(slots=True)
class DiffStats:
    """The sums of a diff, complete once all changes were taken."""

    changed_files: int = 0
    added: Side = field(default_factory=Side)
    removed: Side = field(default_factory=Side)


class Diff:
    """Compare two snapshots: take all `changes`, then look at `stats`. Equal folders are skipped."""

    def __init__(self, repo: Repository, before: Snapshot, after: Snapshot, *, metadata: bool) -> None:
        self._repo = repo
        self._roots = before.tree, after.tree
        self._metadata = metadata
        self._before: set[Blob] = {("tree", before.tree)}
        self._after: set[Blob] = {("tree", after.tree)}
        self._same: set[bytes] = set()
        self.stats = DiffStats()

    def changes(self) -> Iterator[Change]:
        """Yield each change, by path. Raises Damaged, BlobNotFound."""
        if self._roots[0] != self._roots[1]:
            yield from self._compare(b"/", *self._roots)
            self._count_blobs()

    def _compare(self, folder: bytes, before: bytes, after: bytes) -> Iterator[Change]:
        old = {node.name: node for node in load_tree(self._repo, before)}
        new = {node.name: node for node in load_tree(self._repo, after)}
        for name in sorted(old.keys() | new.keys()):
            left, right = old.get(name), new.get(name)
            if left is not None and right is not None:
                yield from self._both(folder + name, left, right)
            elif left is not None:
                yield from self._one(folder + name, left, "-", self.stats.removed, self._before)
            elif right is not None:
                yield from self._one(folder + name, right, "+", self.stats.added, self._after)

    def _both(self, path: bytes, left: Node, right: Node) -> Iterator[Change]:
        self._before.update(_blobs(left))
        self._after.update(_blobs(right))
        path += b"/" if right.type == "dir" else b""
        if modifier := self._modifier(left, right):
            yield Change(path, modifier)
        if left.type == right.type == "dir" and left.subtree and right.subtree:
            if left.subtree == right.subtree:
                self._same.add(left.subtree)
            else:
                yield from self._compare(path, left.subtree, right.subtree)

    def _modifier(self, left: Node, right: Node) -> str:
        modifier = "T" if left.type != right.type else ""
        if left.type == right.type == "file" and left.content != right.content:
            self.stats.changed_files += 1
            return modifier + "M"
        if self._metadata and left != right:
            return modifier + "U"
        return modifier

    def _one(self, path: bytes, node: Node, modifier: str, side: Side, blobs: set[Blob]) -> Iterator[Change]:
        """Yield what stands in one snapshot only, with all below it."""
        pending = [(path, node)]
        while pending:
            path, node = pending.pop()
            side.count(node)
            blobs.update(_blobs(node))
            if node.type != "dir":
                yield Change(path, modifier)
                continue
            yield Change(path + b"/", modifier)
            below = load_tree(self._repo, node.subtree) if node.subtree else []
            pending += [(path + b"/" + child.name, child) for child in reversed(below)]

    def _count_blobs(self) -> None:
        """Count the blobs of one side that the other has nowhere, not even where nothing changed."""
        removed, added = self._before - self._after, self._after - self._before
        self._drop_common(removed, added)
        for blobs, side in ((removed, self.stats.removed), (added, self.stats.added)):
            side.data_blobs = sum(kind == "data" for kind, _ in blobs)
            side.tree_blobs = len(blobs) - side.data_blobs
            side.bytes = sum(self._repo.index.plain_length(*blob) or 0 for blob in blobs)

    def _drop_common(self, *sides: set[Blob]) -> None:
        seen: set[bytes] = set()
        pending = list(self._same)
        while pending and any(sides):
            tree = pending.pop()
            if tree in seen:
                continue
            seen.add(tree)
            for node in load_tree(self._repo, tree):
                for side in sides:
                    side.difference_update(_blobs(node))
                if node.subtree is not None:
                    pending.append(node.subtree)


def _blobs(node: Node) -> list[Blob]:
    if node.type == "file":
        return [("data", blob) for blob in node.content or ()]
    return [("tree", node.subtree)] if node.type == "dir" and node.subtree else []
