"""Make snapshots that can be restored of those that lost something (`repair snapshots`, as restic 0.16's)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from repository.entries import Problem
from repository.errors import BlobNotFound, Damaged, RepositoryError
from repository.ids import hash_bytes
from repository.locks import Lock
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node, encode_tree
from repository.tree_decode import decode_tree
from repository.writer import WriteOptions

TAG = "repaired"


@dataclass(slots=True)
class RepairResult:
    """What a repair did: `repaired` as (old id, new id), the new one empty in a dry run; `whole`: unchanged.

    `lost`: snapshots of which nothing is left, since their root cannot be read.
    """

    repaired: list[tuple[bytes, bytes]] = field(default_factory=list)
    whole: list[bytes] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)


def repair_snapshots(
    repo: Repository,
    snapshot_ids: Sequence[bytes],
    lock: Lock,
    *,
    forget: bool = False,
    dry_run: bool = False,
    report: Callable[[Problem], None] = lambda problem: None,
    progress: ProgressCallback = ignore_progress,
) -> RepairResult:
    """Write each damaged snapshot anew without what is lost, under an exclusive lock of the caller's.

    A file keeps the parts that are there, a folder that cannot be read goes; each is reported, once. Missing
    is what no index file lists, so rebuild the index before. The new snapshot has the tag `repaired`; with
    `forget` the old one is removed, and so is one of which nothing is left. Raises LockLost, StorageError,
    SnapshotNotFound, Damaged, Cancelled from `progress`; the old snapshots are there then.
    """
    if not lock.exclusive:
        raise RepositoryError("repairing snapshots needs an exclusive lock, and this one is shared")
    snapshots = [(each, repo.load_snapshot(each)) for each in snapshot_ids]
    repo.load_index()
    repo.start_writing(WriteOptions(compression=repo.compression, guard=lock.check, wait=lock.check))
    result = RepairResult()
    trees = _Trees(repo, report, writes=not dry_run)
    try:
        for done, (snapshot_id, snapshot) in enumerate(snapshots, 1):
            _repair(repo, lock, (snapshot_id, snapshot), trees, result, forget and not dry_run)
            progress(Progress("repairing", done, len(snapshots)))
    finally:
        repo.stop_writing()
    return result


def _repair(
    repo: Repository,
    lock: Lock,
    found: tuple[bytes, Snapshot],
    trees: _Trees,
    result: RepairResult,
    forget: bool,
) -> None:
    snapshot_id, snapshot = found
    tree = trees.repair(snapshot.tree, b"/")
    if tree == snapshot.tree:
        result.whole.append(snapshot_id)
        return
    if tree is None:
        result.lost.append(snapshot_id)
    else:
        result.repaired.append((snapshot_id, _save(repo, lock, found, tree) if trees.writes else b""))
    if forget:
        lock.check()
        repo.remove_snapshot(snapshot_id)


def _save(repo: Repository, lock: Lock, found: tuple[bytes, Snapshot], tree: bytes) -> bytes:
    snapshot_id, snapshot = found
    repo.flush()
    lock.check()
    tags = [*(tag for tag in snapshot.tags if tag != TAG), TAG]
    # Its counts are of what was backed up, not of what is left.
    repaired = replace(
        snapshot, tree=tree, tags=tags, original=snapshot.original or snapshot_id, summary=None
    )
    return repo.save_snapshot(repaired)


@dataclass(slots=True)
class _Open:
    """A folder on the way down, to be looked at again once all below it is done."""

    tree: bytes
    path: bytes
    nodes: list[Node]


class _Trees:
    """Repairs trees, each once: snapshots share most of them."""

    def __init__(self, repo: Repository, report: Callable[[Problem], None], *, writes: bool) -> None:
        self._repo = repo
        self._report = report
        self._known: dict[bytes, bytes | None] = {}
        self.writes = writes

    def repair(self, root: bytes, path: bytes) -> bytes | None:
        """Return the id of a tree without what is lost: the same if nothing is, None if it is lost itself.

        Raises Damaged for a folder that lost something and whose names are out of order.
        """
        stack: list[_Open | tuple[bytes, bytes]] = [(root, path)]
        while stack:
            item = stack.pop()
            if isinstance(item, _Open):
                self._known[item.tree] = self._close(item)
            elif item[0] not in self._known and (opened := self._open(*item)):
                stack.append(opened)
                stack += [
                    (node.subtree, _join(item[1], node.name))
                    for node in opened.nodes
                    if node.type == "dir" and node.subtree is not None
                ]
        return self._known[root]

    def _open(self, tree: bytes, path: bytes) -> _Open | None:
        try:
            return _Open(tree, path, decode_tree(self._repo.load_blob("tree", tree)))
        except (Damaged, BlobNotFound) as error:
            self._report(Problem(path, "unreadable", f"everything in this folder is lost: {error}"))
            self._known[tree] = None
            return None

    def _close(self, folder: _Open) -> bytes:
        repaired = [self._node(node, _join(folder.path, node.name)) for node in folder.nodes]
        kept = [node for node in repaired if node is not None]
        if kept == folder.nodes:
            return folder.tree
        try:
            data = encode_tree(kept)
        except ValueError as error:
            raise Damaged(f"the folder {folder.path!r} cannot be written anew: {error}") from error
        return self._repo.save_blob("tree", data).id if self.writes else hash_bytes(data)

    def _node(self, node: Node, path: bytes) -> Node | None:
        if node.type == "dir":
            subtree = self._known[node.subtree] if node.subtree else None
            return None if subtree is None else structs.replace(node, subtree=subtree)
        if node.type != "file":
            return node
        lengths = [(blob, self._repo.index.plain_length("data", blob)) for blob in node.content or ()]
        kept = [(blob, length) for blob, length in lengths if length is not None]
        size = sum(length for _, length in kept)
        if len(kept) == len(lengths) and size == node.size:
            return node
        lost = f"{len(lengths) - len(kept)} of its {len(lengths)} parts are lost: {size} of {node.size} bytes"
        self._report(Problem(path, "shrank", f"{lost} are left, one behind the other"))
        return structs.replace(node, content=[blob for blob, _ in kept], size=size)


def _join(folder: bytes, name: bytes) -> bytes:
    return folder.rstrip(b"/") + b"/" + name
