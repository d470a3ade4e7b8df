"""Decide what a restore writes, where, in which order: one walk over the snapshot's trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from repository.entries import HALF_MADE, Entry, Problem, TargetError
from repository.entries import Conflict as Conflict
from repository.errors import BlobNotFound, Damaged
from repository.lookup import is_safe_name
from repository.repository import Repository
from repository.restore_actions import Action as Action
from repository.restore_actions import LeaveDir as LeaveDir
from repository.restore_actions import LeaveFile as LeaveFile
from repository.restore_actions import MakeDir as MakeDir
from repository.restore_actions import MakeLink as MakeLink
from repository.restore_actions import MakeSpecial as MakeSpecial
from repository.restore_actions import WriteFile as WriteFile
from repository.tree import Node, entry_from_node
from repository.tree_decode import decode_tree

Report = Callable[[Problem], None]
Existing = Callable[[bytes], Entry | None]  # what stands at the target, as Target.existing
# Whether the file at this path holds this entry's content already. Raises TargetError.
Holds = Callable[[bytes, Entry, Sequence[bytes]], bool]

RENAMED_SUFFIX = b".restored"
_LONGEST_NAME = 255  # bytes, as all usual file systems have it
_COARSEST_NS = 2_000_000_000  # a time of change comes back no worse than FAT keeps it


@dataclass(slots=True)
class PlanCounts:
    """What the plan met: `matched` things that the selection takes; those kept or renamed by the rule."""

    matched: int = 0
    kept: int = 0
    renamed: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """What to restore. `takes` is asked for everything; `enters` for folders: may anything below be taken?"""

    takes: Callable[[bytes, bool], bool]
    enters: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Root:
    """The folder of the snapshot whose content goes to the target's root, which gets `entry` if it is new."""

    tree: bytes
    tree_path: bytes
    entry: Entry | None


@dataclass(slots=True)
class _Dir:
    """A folder on the way down; it is made once something in it is to be written.

    `fresh`: nothing is there at the target, so nothing below is either. `entry`: metadata to set at the end.
    `names`, once one was needed: those that no file beside another may get.
    """

    tree_path: bytes
    path: bytes
    nodes: list[Node]
    entry: Entry | None
    fresh: bool
    started: bool = False
    names: set[bytes] = field(default_factory=set)


class Planner:
    """Yield the actions of a restore, a folder before what is in it. Runs ahead of their execution."""

    def __init__(
        self,
        repo: Repository,
        root: Root,
        existing: Existing,
        selection: Selection,
        conflict: Conflict,
        report: Report,
        holds: Holds = lambda path, entry, content: False,
        on_kept: Callable[[bytes, Entry], None] = lambda path, entry: None,
        written: Holds | None = None,
    ) -> None:
        """`written`, where an earlier try of this restore was cut off: what tells of files of that."""
        self._repo = repo
        self._holds = holds
        self._on_kept = on_kept
        self._written = written
        self._root = root
        self._existing = existing
        self._selection = selection
        self._conflict = conflict
        self._report = report
        self._links: dict[tuple[int, int], WriteFile] = {}
        self.counts = PlanCounts()

    def walk(self) -> Iterator[Action]:
        """Yield all actions. Raises Damaged or BlobNotFound if the root's tree itself cannot be read."""
        root = self._open_root()
        if self._selection.takes(root.tree_path, True):
            self.counts.matched += bool(root.nodes)
        stack = [(root, iter(root.nodes))]
        while stack:
            folder, nodes = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
                if folder.started:
                    yield LeaveDir(folder.path, folder.entry)
                continue
            below = self._enter(folder, node)
            if below is not None:
                stack.append((below, iter(below.nodes)))
                if not self._selection.takes(below.tree_path, True):
                    continue
            action = None if node.type == "dir" else self._leaf(folder, node)
            if below is not None or action is not None:
                yield from _start([each for each, _ in stack])
            if action is not None:
                yield action

    def _open_root(self) -> _Dir:
        there = self._existing(b"/")
        nodes = self._load_tree(self._root.tree)
        entry = self._root.entry
        if entry is not None and not self._is_new(there, entry):
            entry = None
        return _Dir(self._root.tree_path, b"/", nodes, entry, fresh=there is None)

    def _enter(self, folder: _Dir, node: Node) -> _Dir | None:
        """Return the folder that a node is, if anything in it is wanted."""
        tree_path = join(folder.tree_path, node.name)
        if node.type != "dir" or not self._selection.enters(tree_path):
            return None
        if not self._name_is_safe(tree_path, node.name):
            return None
        path = join(folder.path, node.name)
        try:
            entry = entry_from_node(node)
            there = None if folder.fresh else self._existing(path)
        except (Damaged, TargetError) as error:
            self._report(Problem(tree_path, "unreadable", str(error)))
            return None
        taken = self._selection.takes(tree_path, True)
        self.counts.matched += taken
        sets = self._is_new(there, entry, taken) or (
            taken and self._conflict in ("replace", "replace-if-older")
        )
        below = self._load_below(tree_path, node)
        return _Dir(tree_path, path, below, entry if sets else None, fresh=there is None)

    def _load_below(self, tree_path: bytes, node: Node) -> list[Node]:
        try:
            if node.subtree is None:
                raise Damaged("the snapshot names no content for this folder")
            return self._load_tree(node.subtree)
        except (Damaged, BlobNotFound) as error:
            self._report(Problem(tree_path, "unreadable", f"everything in this folder is lost: {error}"))
            return []

    def _load_tree(self, tree: bytes) -> list[Node]:
        return decode_tree(self._repo.load_blob("tree", tree))

    def _leaf(self, folder: _Dir, node: Node) -> Action | None:
        """Return the action for anything but a folder; None if it is not selected, kept, or impossible."""
        tree_path = join(folder.tree_path, node.name)
        if not self._selection.takes(tree_path, False) or node.type == "socket":
            return None
        self.counts.matched += 1
        if not self._name_is_safe(tree_path, node.name):
            return None
        try:
            entry = entry_from_node(node)
            if node.type == "file" and node.content is None:
                raise Damaged("the snapshot names no content for this file")
            path = self._place(folder, entry, node)
            if path and not folder.fresh and self._is_there(path, entry, node):
                return LeaveFile(path, entry)
        except (Damaged, TargetError) as error:
            self._report(Problem(tree_path, "unreadable", str(error)))
            return None
        if path is None:
            return None
        return MakeSpecial(path, entry) if node.content is None else self._file(path, entry, node.content)

    def _is_there(self, path: bytes, entry: Entry, node: Node) -> bool:
        return node.content is not None and entry.links < 2 and self._holds(path, entry, node.content)

    def _file(self, path: bytes, entry: Entry, content: list[bytes]) -> Action:
        action = WriteFile(path, entry, content)
        if entry.links < 2:
            return action
        first = self._links.setdefault((entry.device_id, entry.inode), action)
        if first is action or first.content != content:
            return action
        return MakeLink(path, entry, first.path, content)

    def _place(self, folder: _Dir, entry: Entry, node: Node) -> bytes | None:
        """Return where to write by the conflict rule; None to leave alone what is there."""
        path = join(folder.path, entry.name)
        if self._conflict == "replace" or folder.fresh:
            return path
        there = self._existing(path)
        if there is None or (self._conflict == "replace-if-older" and there.mtime_ns < entry.mtime_ns):
            return path
        if self._was_written(path, there, entry, node):
            return path
        if self._conflict == "rename":
            self.counts.renamed += 1
            return self._free_path(folder, entry, node)
        self.counts.kept += 1
        self._on_kept(path, entry)
        return None

    def _is_new(self, there: Entry | None, entry: Entry, taken: bool = True) -> bool:
        """Tell whether a folder is to be described: not there, half made, or of this very restore."""
        # A new folder in one with the setgid bit has that, too.
        if there is None or (there.kind == "dir" and there.mode & ~0o2000 == HALF_MADE):
            return True
        as_left = there.mode == entry.mode and abs(there.mtime_ns - entry.mtime_ns) <= _COARSEST_NS
        # One that is only on the way may be an old folder: with another owner it is none of this restore's.
        mine = taken or (there.uid, there.gid) == (entry.uid, entry.gid)
        return self._written is not None and there.kind == "dir" and as_left and mine

    def _was_written(self, path: bytes, there: Entry | None, entry: Entry, node: Node) -> bool:
        """Tell whether this restore itself has put there what stands at a path, before it was cut off."""
        if self._written is None or there is None or there.kind != entry.kind:
            return False
        if abs(there.mtime_ns - entry.mtime_ns) > _COARSEST_NS:
            return False
        if node.content is not None:
            return self._written(path, entry, node.content)
        return (there.linktarget, there.device) == (entry.linktarget, entry.device)

    def _free_path(self, folder: _Dir, entry: Entry, node: Node) -> bytes:
        """Return a path beside an entry's that is free at the target, and that nothing in the restore takes.

        What an earlier try of this restore has put there is taken for free.
        """
        name = entry.name
        folder.names = folder.names or {node.name for node in folder.nodes}
        number = 1
        while True:
            suffix = RENAMED_SUFFIX + (b"-%d" % number if number > 1 else b"")
            candidate = _shortened(name, _LONGEST_NAME - len(suffix)) + suffix
            path = join(folder.path, candidate)
            there = None if candidate in folder.names else self._existing(path)
            if candidate not in folder.names and (
                there is None or self._was_written(path, there, entry, node)
            ):
                folder.names.add(candidate)  # two long names may be cut to the same
                return path
            number += 1

    def _name_is_safe(self, tree_path: bytes, name: bytes) -> bool:
        """Refuse, with a problem, a name that would lead out of its folder."""
        if is_safe_name(name):
            return True
        text = f"the snapshot holds the name {name!r}, which no file can have; not restored"
        self._report(Problem(tree_path, "unreadable", text))
        return False


def _shortened(name: bytes, most: int) -> bytes:
    """Return the start of a name, at most this long; no character of UTF-8 is cut in two."""
    if len(name) <= most:
        return name
    while most > 1 and name[most] & 0xC0 == 0x80:  # the cut is before a byte that continues a character
        most -= 1
    return name[:most]


def join(folder: bytes, name: bytes) -> bytes:
    """Return the tree path of `name` in `folder`."""
    return (b"" if folder == b"/" else folder) + b"/" + name


def _start(stack: list[_Dir]) -> Iterator[Action]:
    for folder in stack:
        if not folder.started:
            folder.started = True
            yield MakeDir(folder.path)
