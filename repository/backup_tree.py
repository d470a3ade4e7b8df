"""Build the trees of a snapshot from the leaves up, while files are still being read."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from repository.packfile import BlobType
from repository.tally import Tally
from repository.tree import EncodedNodes, Node, encode_tree
from repository.tree_cache_file import Known, combine
from repository.writer import SavedBlob

SaveBlob = Callable[[BlobType, bytes], SavedBlob]
Keep = Callable[[bytes, Known], None]


@dataclass(slots=True)
class Frame:
    """A directory whose tree is not complete yet.

    `slots` are its entries in order: a node, some that are encoded already, or None for one that is left out
    or still to come; `missing` counts the latter. `node` is its own entry, None for the root and for one that
    turned out unreadable.
    `fingerprint` is that of its listing, b"" if it has none, or anything in it was not stored as listed;
    `below` holds, by slot, the fingerprint and contents of the folders in it; `done` its own, at the end.
    `holds`: anything but folders is in it or below; what could not be read counts, too.
    """

    path: bytes
    node: Node | None = None
    parent: Frame | None = None
    previous: Node | None = None  # the same directory in the parent snapshot
    slot: int = 0  # its place in the parent frame
    slots: list[Node | EncodedNodes | None] = field(default_factory=list)
    missing: int = 0
    listed: bool = False
    tree: bytes = b""
    fingerprint: bytes = b""
    below: dict[int, tuple[bytes, Known]] = field(default_factory=dict)
    done: tuple[bytes, Known] | None = None
    holds: bool = False

    def child_path(self, name: bytes) -> bytes:
        """Return the tree path of an entry."""
        return (b"" if self.path == b"/" else self.path) + b"/" + name

    def reserve(self) -> int:
        """Make a slot for an entry that is still to come; return its place."""
        self.slots.append(None)
        self.missing += 1
        return len(self.slots) - 1

    def add_below(self, slot: int, known: tuple[bytes, Known] | None) -> None:
        """Take note of a folder in it; None: it will not be known again, and so neither will this one."""
        if known is None:
            self.fingerprint = b""
        else:
            self.below[slot] = known

    def known(self) -> tuple[bytes, Known] | None:
        """Return, once its tree is stored, its fingerprint with all below it, and its contents."""
        if not self.fingerprint:
            return None
        below = [self.below[slot] for slot in sorted(self.below)]
        return combine(self.fingerprint, [each for each, _ in below]), self._contents()

    def _contents(self) -> Known:
        files = size = folders = others = 0
        for slot in self.slots:
            if isinstance(slot, EncodedNodes):
                files, size, others = files + slot.files, size + slot.size_bytes, others + slot.others
            elif slot is None:
                continue
            elif slot.type == "file":
                files, size = files + 1, size + slot.size
            elif slot.type == "dir":
                folders += 1
            else:
                others += 1
        for _, (_, *counts) in self.below.values():
            files, size = files + counts[0], size + counts[1]
            folders, others = folders + counts[2], others + counts[3]
        return Known(self.tree, files, size, folders, others)


class TreeBuilder:
    """Store each directory's tree as soon as everything below it is known.

    `empty` gathers those of the `watched` directories that hold nothing but folders.
    """

    def __init__(
        self,
        save: SaveBlob,
        tally: Tally,
        keep: Keep = lambda fingerprint, known: None,
        watched: Container[bytes] = (),
    ) -> None:
        self._save = save
        self._tally = tally
        self._keep = keep
        self._watched = watched
        self.empty: list[bytes] = []

    def listed(self, frame: Frame) -> None:
        """Take note that all entries of a directory have a slot."""
        frame.listed = True
        self._complete(frame)

    def resolve(self, frame: Frame, slot: int, node: Node | None) -> None:
        """Fill a reserved slot; None leaves the entry out."""
        frame.slots[slot] = node
        frame.holds = True
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
            frame.parent.holds |= frame.holds or frame.node is None
            frame.parent.add_below(frame.slot, frame.done)
            frame.parent.missing -= 1
            frame = frame.parent

    def _store(self, frame: Frame) -> None:
        data = encode_tree(node for node in frame.slots if node is not None)
        saved = self._save("tree", data)
        self._tally.count_blob("tree", saved, len(data))
        frame.holds |= any(node is not None and not _is_folder(node) for node in frame.slots)
        if not frame.holds and frame.path in self._watched:
            self.empty.append(frame.path)
        frame.tree = saved.id
        frame.done = frame.known()
        if frame.done is not None:
            self._keep(*frame.done)
        frame.slots = []
        if frame.node is not None:
            frame.node.subtree = saved.id
            self.count(frame.node, frame.previous)

    def count(self, node: Node, previous: Node | None) -> None:
        """Count a directory by what became of it since the parent snapshot."""
        if previous is None:
            self._tally.dirs_new += 1
        elif previous == node:
            self._tally.dirs_unmodified += 1
        else:
            self._tally.dirs_changed += 1


def _is_folder(node: Node | EncodedNodes) -> bool:
    return isinstance(node, Node) and node.type == "dir"
