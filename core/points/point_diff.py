"""Two points held against each other: what was added, changed and removed, folder by folder.

Folders that are the same are known by their tree and not read, so two points of a large config take moments.
The points may lie on different storages: what is the same has the same ids everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from core.errors import NotFound
from core.models import Point
from core.points import browse
from core.points.tokens import printable, token_from_path
from repository import browse as engine
from repository.errors import PathNotFound
from repository.lookup import load_tree
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node, posix_mode

LONGEST_S = 10.0  # looked at in one go: a page waits for it
MOST_LISTED = 1_000

Verdict = Literal["added", "removed", "changed", "attributes"]
Load = Callable[[bytes], list[Node]]


@dataclass(frozen=True, slots=True)
class Change:
    """One file, link or folder that differs. Sizes are of files; `note` says what else there is to say."""

    path: bytes
    name: str
    token: str
    kind: str
    verdict: Verdict
    size_before: int | None
    size_after: int | None
    note: str = ""

    @property
    def has_diff(self) -> bool:
        """Tell whether it can be shown line by line, if it is text."""
        return self.kind == "file" and self.verdict != "attributes"


@dataclass(slots=True)
class Sums:
    """How many entries were added, changed and removed; by how much files grew, and others shrank."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    attributes: int = 0
    bytes_added: int = 0
    bytes_removed: int = 0

    @property
    def total(self) -> int:
        """How many differ."""
        return self.added + self.changed + self.removed + self.attributes

    def count(self, change: Change) -> None:
        """Take one change."""
        setattr(self, change.verdict, getattr(self, change.verdict) + 1)
        grown = (change.size_after or 0) - (change.size_before or 0)
        self.bytes_added += max(0, grown)
        self.bytes_removed += max(0, -grown)


@dataclass(slots=True)
class Folder:
    """A folder right in the one that is shown, with something below it that differs."""

    name: str
    token: str
    verdict: Verdict | None  # None: it is in both
    sums: Sums = field(default_factory=Sums)


@dataclass(slots=True)
class PointDiff:
    """What leads from the older point to the newer, below `folder`. `listed`: the changes, by path, as far as
    they are listed; `complete`: all of both points was looked at."""

    folder: bytes
    sums: Sums = field(default_factory=Sums)
    folders: dict[bytes, Folder] = field(default_factory=dict)
    listed: list[Change] = field(default_factory=list)
    complete: bool = True

    @property
    def more(self) -> int:
        """How many changes are counted, but not listed."""
        return self.sums.total - len(self.listed)


def compare(old: Point, new: Point, folder: bytes = b"/") -> PointDiff:
    """Return what changed from one point to another, below a folder. Raises as browsing does."""

    def with_old(old_repo: Repository, old_snapshot: Snapshot) -> PointDiff:
        before = _node(old_repo, old_snapshot, folder)

        def with_new(new_repo: Repository, new_snapshot: Snapshot) -> PointDiff:
            after = _node(new_repo, new_snapshot, folder)
            if before is None and after is None:
                raise NotFound(f"{printable(folder)} is a folder in neither of the points.")
            walk = _Walk(folder, partial(load_tree, old_repo), partial(load_tree, new_repo))
            return walk.run(before, after)

        return browse.look(new, with_new, folder)

    return browse.look(old, with_old, folder)


def _node(repo: Repository, snapshot: Snapshot, folder: bytes) -> Node | None:
    """Return a folder of a snapshot; None if it is not there, or is none."""
    try:
        node = engine.find_node(repo, snapshot, folder)
    except PathNotFound:
        return None
    return node if node.type == "dir" else None


class _Walk:
    """Goes through two trees at once."""

    def __init__(self, folder: bytes, load_old: Load, load_new: Load) -> None:
        self._load_old, self._load_new = load_old, load_new
        self._found = PointDiff(folder)
        self._prefix = folder.rstrip(b"/") + b"/"

    def run(self, before: Node | None, after: Node | None) -> PointDiff:
        """Return what differs below two folders; None: that one is not there."""
        end = time.monotonic() + LONGEST_S
        waiting = [(self._prefix, before, after)]
        while waiting:
            if time.monotonic() > end:
                self._found.complete = False
                break
            waiting += self._folder(*waiting.pop())
        self._found.listed.sort(key=lambda change: change.path)
        return self._found

    def _folder(
        self, prefix: bytes, before: Node | None, after: Node | None
    ) -> list[tuple[bytes, Node | None, Node | None]]:
        """Compare two folders; return the folders in them that differ, to be compared next."""
        old, new = self._nodes(before, self._load_old), self._nodes(after, self._load_new)
        below: list[tuple[bytes, Node | None, Node | None]] = []
        for name in sorted(old.keys() | new.keys(), reverse=True):
            left, right = old.get(name), new.get(name)
            for change in _changes(prefix + name, left, right):
                self._note(change)
            left, right = _if_folder(left), _if_folder(right)
            if (left or right) and (left and left.subtree) != (right and right.subtree):
                below.append((prefix + name + b"/", left, right))
        return below

    def _nodes(self, folder: Node | None, load: Load) -> dict[bytes, Node]:
        if folder is None or folder.subtree is None:
            return {}
        return {node.name: node for node in load(folder.subtree)}

    def _note(self, change: Change) -> None:
        self._found.sums.count(change)
        top, inside, _ = change.path[len(self._prefix) :].partition(b"/")
        if inside or change.kind == "dir":
            self._top(top, change if not inside else None).sums.count(change)
        if len(self._found.listed) < MOST_LISTED:
            self._found.listed.append(change)

    def _top(self, name: bytes, itself: Change | None) -> Folder:
        path = self._prefix + name
        folder = self._found.folders.setdefault(name, Folder(printable(name), token_from_path(path), None))
        if itself is not None:
            folder.verdict = itself.verdict
        return folder


def _changes(path: bytes, left: Node | None, right: Node | None) -> Iterator[Change]:
    """Yield what differs about one name; a file that became a folder is both gone and new."""
    if left is not None and right is not None and left.type == right.type:
        verdict, note = _both(left, right)
        if verdict is not None:
            yield _change(path, verdict, left, right, note)
        return
    if left is not None:
        yield _change(path, "removed", left, None)
    if right is not None:
        yield _change(path, "added", None, right)


def _both(left: Node, right: Node) -> tuple[Verdict | None, str]:
    """Return how two entries of the same kind differ; what changes without anybody's doing does not count."""
    if left.type == "file" and (left.content or []) != (right.content or []):
        return "changed", _attributes(left, right)
    if (left.linktarget, left.linktarget_raw, left.device) != (
        right.linktarget, right.linktarget_raw, right.device,
    ):  # fmt: skip
        return "changed", "it points elsewhere" if left.type == "symlink" else "another device"
    note = _attributes(left, right)
    if not note and left.type == "file" and left.mtime != right.mtime:
        note = "only the time of its last change"
    return ("attributes", note) if note else (None, "")


def _attributes(left: Node, right: Node) -> str:
    """Say which attributes are others; "" for none."""
    notes = []
    before, after = posix_mode(left.mode), posix_mode(right.mode)
    if before != after:
        notes.append(f"mode {before:04o} → {after:04o}")
    if (left.uid, left.gid) != (right.uid, right.gid):
        notes.append(f"owner {left.uid}:{left.gid} → {right.uid}:{right.gid}")
    if (left.xattrs or []) != (right.xattrs or []):
        notes.append("other extended attributes")
    return ", ".join(notes)


def _change(path: bytes, verdict: Verdict, left: Node | None, right: Node | None, note: str = "") -> Change:
    node = right or left
    assert node is not None
    return Change(
        path, printable(path), token_from_path(path), node.type, verdict, _size(left), _size(right), note
    )


def _size(node: Node | None) -> int | None:
    return node.size if node is not None and node.type == "file" else None


def _if_folder(node: Node | None) -> Node | None:
    return node if node is not None and node.type == "dir" else None
