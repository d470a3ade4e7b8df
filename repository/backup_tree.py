"""Build the trees of a snapshot from the leaves up, while files are still being read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from repository.packfile import BlobType
from repository.tally import Tally
from repository.tree import Node, encode_tree
from repository.writer import SavedBlob

SaveBlob = Callable[[BlobType, bytes], SavedBlob]


@dataclass(slots=True)
class Frame:
    """A directory whose tree is not complete yet.

    `slots` are its entries in order: a node, or None for one that is left out or still to come; `missing`
    counts the latter. `node` is its own entry, None for the root and for one that turned out unreadable.
    """

    path: bytes
    node: Node | None = None
    parent: Frame | None = None
    previous: Node | None = None  # the same directory in the parent snapshot
    slot: int = 0  # its place in the parent frame
    slots: list[Node | None] = field(default_factory=list)
    missing: int = 0
    listed: bool = False
    tree: bytes = b""

    def child_path(self, name: bytes) -> bytes:
        """Return the tree path of an entry."""
        return (b"" if self.path == b"/" else self.path) + b"/" + name

    def reserve(self) -> int:
        """Make a slot for an entry that is still to come; return its place."""
        self.slots.append(None)
        self.missing += 1
        return len(self.slots) - 1


class TreeBuilder:
    """Store each directory's tree as soon as everything below it is known."""

    def __init__(self, save: SaveBlob, tally: Tally) -> None:
        self._save = save
        self._tally = tally

    def listed(self, frame: Frame) -> None:
        """Take note that all entries of a directory have a slot."""
        frame.listed = True
        self._complete(frame)

    def resolve(self, frame: Frame, slot: int, node: Node | None) -> None:
        """Fill a reserved slot; None leaves the entry out."""
        frame.slots[slot] = node
        frame.missing -= 1
        self._complete(frame)

    def _complete(self, frame: Frame) -> None:
        """Store this directory if it is complete, then, if that completes them, those above it."""
        while frame.listed and not frame.missing:
            if frame.parent is None or frame.node is not None:
                self._store(frame)
            if frame.parent is None:
                return
            frame.parent.slots[frame.slot] = frame.node
            frame.parent.missing -= 1
            frame = frame.parent

    def _store(self, frame: Frame) -> None:
        data = encode_tree(node for node in frame.slots if node is not None)
        saved = self._save("tree", data)
        self._tally.count_blob("tree", saved, len(data))
        frame.tree = saved.id
        frame.slots = []
        if frame.node is not None:
            frame.node.subtree = saved.id
            self._count(frame.node, frame.previous)

    def _count(self, node: Node, previous: Node | None) -> None:
        if previous is None:
            self._tally.dirs_new += 1
        elif previous == node:
            self._tally.dirs_unmodified += 1
        else:
            self._tally.dirs_changed += 1
