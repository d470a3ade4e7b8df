"""Walk a source in order and decide, for each file, whether it must be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from repository.backup_read import FileReader
from repository.backup_tree import Frame, TreeBuilder
from repository.entries import Entry, Problem, Source, TargetedSource
from repository.errors import BlobNotFound, Damaged
from repository.file_task import FileTask
from repository.gotext import LocalZone, parse_time
from repository.index import Index
from repository.read_results import Identity, ReadDir, identity, unlisted
from repository.repository import Repository
from repository.tally import Tally
from repository.tree import EncodedNodes, Node, node_from_entry
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from repository.tree_decode import decode_tree

logger = logging.getLogger(__name__)

# A batch is read in one go, over directory borders: a remote source sends it as one stream.
BATCH_FILES = 512
BATCH_BYTES = 64 * 1024 * 1024

Report = Callable[[Problem], None]


class TreeWalk:
    """One walk over a source: lists, decides, gathers files into batches, hands all to reader and builder."""

    def __init__(
        self,
        repo: Repository,
        source: Source,
        reader: FileReader,
        tally: Tally,
        zone: LocalZone,
        report: Report,
        cache: TreeCache = NO_TREE_CACHE,
    ) -> None:
        self._repo = repo
        self._source = source
        self._reader = reader
        self._tally = tally
        self._zone = zone
        self._pass_on = report
        self._cache = cache
        self.links_total = 0  # symbolic ones
        self._troubled: set[bytes] = set()  # paths of files that were not stored as they should be
        self._places = _places(source)
        self._builder = TreeBuilder(repo.save_blob, tally, cache.keep, self._places)
        self._batch: list[FileTask] = []
        self._batch_bytes = 0
        self._links: dict[Identity, FileTask] = {}

    def run(self, previous_tree: bytes | None, *, read_all: bool = False) -> bytes:
        """Store the whole tree; return the root's tree id. `previous_tree`: the parent snapshot's root."""
        previous = Node(b"", "dir", subtree=previous_tree) if previous_tree else None
        root = Frame(b"/", previous=previous)
        for frame in self._walk(root, read_all):
            self._builder.listed(frame)
        while self._reader.busy or self._batch:  # either may bring more of the other
            if self._batch_is_full or not self._reader.busy:
                self._read_batch()
            else:
                self._reader.settle()
        return root.tree

    def empty_places(self) -> list[tuple[bytes, bytes]]:
        """Return, after the run, (tree path, place) of each path asked for that holds nothing but folders."""
        return [(path, self._places[path]) for path in self._builder.empty]

    def _walk(self, root: Frame, read_all: bool) -> Iterator[Frame]:
        """Yield each directory once all its entries are decided, a child before its parent."""
        stack = [self._enter(root)]
        while stack:
            frame, known, entries = stack[-1]
            for entry in entries:
                previous = _of_kind(known.get(entry.name), entry.kind)
                if entry.kind == "dir":
                    if self._take_known(frame, entry, previous):
                        continue
                    child = self._open_child(frame, entry, previous)
                    if self._give(child):
                        continue
                    stack.append(self._enter(child))
                    break
                self._add_leaf(frame, entry, previous, read_all)
                if self._batch_is_full:
                    self._read_batch()
            else:
                stack.pop()
                yield frame

    def _enter(self, frame: Frame) -> tuple[Frame, dict[bytes, Node], Iterator[Entry]]:
        """List a directory, and what the parent snapshot knows of it. An unreadable one is left out."""
        self._reader.tell("reading", frame.path)
        try:
            listing = self._source.list_dir(frame.path)
        except OSError as error:
            frame.node = None
            self._report(unlisted(frame.path, error))
            return frame, {}, iter(())
        frame.holds = bool(listing.problems)
        for problem in listing.problems:
            self._report(problem)
        if listing.fingerprint and not listing.problems and self._cache.may_keep(listing.newest_ns):
            frame.fingerprint = listing.fingerprint
        return frame, self._load_previous(frame), iter(listing.entries)

    def _give(self, frame: Frame) -> bool:
        """Have a directory that is all new read by a worker, if there is one."""
        if frame.previous is not None or not self._reader.takes_dirs:
            return False
        self._reader.read_dir(frame.path, lambda read: self._take_dir(frame, read))
        return True

    def _take_dir(self, frame: Frame, read: ReadDir | Problem) -> None:
        """Put into place what a worker has read, and go on with the folders and large files it found."""
        if isinstance(read, Problem):
            frame.node = None
            self._report(read)
        else:
            self._take_items(frame, read)
        self._builder.listed(frame)

    def _take_items(self, frame: Frame, read: ReadDir) -> None:
        frame.holds = bool(read.problems or read.failed)
        if read.fingerprint and self._cache.may_keep(read.newest_ns):
            frame.fingerprint = read.fingerprint
        for problem in read.problems:
            self._report(problem)
        self._tally.files_failed += read.failed
        self.links_total += read.links
        for item in read.items:
            if isinstance(item, EncodedNodes):
                frame.slots.append(item)
                self._tally.count_new(item.files, item.size_bytes, item.others)
                continue
            entry = Entry(*item)
            if entry.kind == "dir":
                self._give(self._open_child(frame, entry, None))
            else:
                self._add_leaf(frame, entry, None, read_all=False)

    def _take_known(self, frame: Frame, entry: Entry, previous: Node | None) -> bool:
        """Put a directory into its place with all below it, if the cache knows that nothing in it changed."""
        # Another inode: it came here after the scan, which saw another folder under this name.
        subtree = previous.subtree if previous is not None and previous.inode == entry.inode else None
        found = self._cache.find(frame.child_path(entry.name), subtree) if subtree else None
        if found is None:
            return False
        node = node_from_entry(entry, self._zone)
        node.subtree = subtree
        frame.slots.append(node)
        frame.add_below(len(frame.slots) - 1, found)
        frame.holds |= bool(found[1].files or found[1].others)
        self._builder.count(node, previous)
        self._tally.count_unmodified(*found[1][1:])
        return True

    def _load_previous(self, frame: Frame) -> dict[bytes, Node]:
        if frame.previous is None or frame.previous.subtree is None:
            return {}
        try:
            nodes = decode_tree(self._repo.load_blob("tree", frame.previous.subtree))
        except (BlobNotFound, Damaged) as error:
            logger.warning("folder %r of the parent snapshot is not compared with: %s", frame.path, error)
            return {}
        return {node.name: node for node in nodes}

    def _open_child(self, frame: Frame, entry: Entry, previous: Node | None) -> Frame:
        node = node_from_entry(entry, self._zone)
        return Frame(frame.child_path(entry.name), node, frame, previous, frame.reserve())

    def _add_leaf(self, frame: Frame, entry: Entry, previous: Node | None, read_all: bool) -> None:
        if entry.kind == "socket":
            return  # as restic: a socket means nothing without its process
        if entry.kind == "file" and (previous is None or read_all):
            self._add_task(frame, FileTask(frame.child_path(entry.name), entry, previous))
            return
        node = node_from_entry(entry, self._zone)
        if entry.kind != "file":
            frame.slots.append(node)
            self._tally.others_total += 1
            self.links_total += entry.kind == "symlink"
        elif previous is not None and unchanged(node, previous, self._repo.index):
            node.content = previous.content
            frame.slots.append(node)
            self._tally.count_file("unmodified", node.size)
        else:
            self._add_task(frame, FileTask(frame.child_path(entry.name), entry, previous))

    def _add_task(self, frame: Frame, task: FileTask) -> None:
        slot = frame.reserve()
        task.on_finish = lambda: self._finish(frame, slot, task)
        first = self._links.setdefault(identity(task.entry), task) if task.entry.links > 1 else task
        if first is task:
            self._schedule(task)
        elif first.pending:
            first.followers.append(task)
        else:
            self._follow(first, task)

    def _schedule(self, task: FileTask) -> None:
        self._batch.append(task)
        self._batch_bytes += task.entry.size
        self._reader.expect(task.entry.size)

    @property
    def _batch_is_full(self) -> bool:
        return len(self._batch) >= BATCH_FILES or self._batch_bytes >= BATCH_BYTES

    def _read_batch(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._reader.read(batch, self._report, self._take_read)

    def _take_read(self, task: FileTask) -> None:
        """Take note that a file was read, or could not be; the reader says so at once or at a later call."""
        task.pending = False
        task.on_finish()
        followers, task.followers = task.followers, []
        for follower in followers:
            self._follow(task, follower)

    def _follow(self, first: FileTask, task: FileTask) -> None:
        """Give a hard link the content of the name read before; if that one failed, this one may not."""
        if first.content is None or first.read_as is None or identity(first.read_as) != identity(task.entry):
            self._schedule(task)
            return
        task.read_as, task.content, task.size = task.entry, first.content, first.size
        task.pending = False
        task.on_finish()

    def _report(self, problem: Problem) -> None:
        self._troubled.add(problem.path)
        self._pass_on(problem)

    def _finish(self, frame: Frame, slot: int, task: FileTask) -> None:
        """Put a file that was read into its place. One that was not is left out, never kept from before."""
        as_listed = task.read_as is not None and identity(task.read_as) == identity(task.entry)
        if not as_listed or task.path in self._troubled:
            frame.fingerprint = b""
        if task.content is None or task.read_as is None:
            self._tally.files_failed += 1
            self._builder.resolve(frame, slot, None)
            return
        node = node_from_entry(task.read_as, self._zone)
        node.name, node.size, node.content = task.entry.name, task.size, task.content
        self._tally.count_file(_state(node, task.previous, self._repo.index), node.size)
        self._builder.resolve(frame, slot, node)


def _places(source: Source) -> Mapping[bytes, bytes]:
    """Return the paths asked for by their tree paths, as far as the source knows."""
    try:
        return source.tree_paths if isinstance(source, TargetedSource) else {}
    except OSError:
        return {}  # listing the root will say so


def unchanged(node: Node, previous: Node, index: Index) -> bool:
    """Tell whether a file's content in the parent snapshot is still its content, and is all stored."""
    if (
        previous.size != node.size
        or previous.inode != node.inode
        or not _same_instant(previous.mtime, node.mtime)
        or not _same_instant(previous.ctime, node.ctime)
        or previous.content is None
    ):
        return False
    lengths = [index.plain_length("data", blob) for blob in previous.content]
    if None in lengths:
        logger.warning("%r is read again: some of its content is missing in the repository", node.name)
        return False
    return sum(length or 0 for length in lengths) == node.size


def _state(node: Node, previous: Node | None, index: Index) -> Literal["new", "changed", "unmodified"]:
    if previous is None:
        return "new"
    same = previous.content == node.content and unchanged(node, previous, index)
    return "unmodified" if same else "changed"


def _of_kind(node: Node | None, kind: str) -> Node | None:
    return node if node is not None and node.type == kind else None


def _same_instant(left: str, right: str) -> bool:
    return left == right or parse_time(left) == parse_time(right)
