"""Which blobs the snapshots need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from repository.errors import BlobNotFound, Damaged
from repository.files import LOADERS
from repository.packfile import BlobType
from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from repository.tree import Node
from repository.tree_decode import decode_tree

BLOB_TYPES: tuple[BlobType, ...] = ("data", "tree")

_AT_ONCE = 64  # trees being loaded or held, beside what waits as ids


class BlobSet:
    """A set of (type, id): about 120 bytes a blob."""

    def __init__(self) -> None:
        self._ids: dict[BlobType, set[bytes]] = {"data": set(), "tree": set()}

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def has(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Tell whether the blob is in the set."""
        return blob_id in self._ids[blob_type]

    def ids(self, blob_type: BlobType) -> Iterable[bytes]:
        """Return the ids of one type."""
        return self._ids[blob_type]

    def add(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Take a blob in; tell whether it is new."""
        ids = self._ids[blob_type]
        if blob_id in ids:
            return False
        ids.add(blob_id)
        return True

    def take(self, blob_type: BlobType, blob_id: bytes) -> bool:
        """Take a blob out; tell whether it was there."""
        ids = self._ids[blob_type]
        if blob_id not in ids:
            return False
        ids.remove(blob_id)
        return True


def find_used(repo: Repository, roots: Iterable[bytes], progress: ProgressCallback) -> BlobSet:
    """Return every blob that these trees reach, with the trees. The index is loaded. Raises as walk_trees."""
    used = BlobSet()
    for done, (_, nodes) in enumerate(walk_trees(repo, roots, lambda tree: used.add("tree", tree)), 1):
        for node in nodes:
            for blob in node.content or ():
                used.add("data", blob)
        if done % _AT_ONCE == 0:
            progress(Progress("looking", done))
    return used


def walk_trees(
    repo: Repository, roots: Iterable[bytes], is_new: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, list[Node]]]:
    """Yield (id, nodes) of every tree that these reach and that `is_new` says so of; some are loaded at once.

    Raises Damaged or BlobNotFound for a tree that cannot be read: what it needs would be unknown.
    """
    waiting = [root for root in roots if is_new(root)]
    with ThreadPoolExecutor(LOADERS, "trees") as pool:
        while waiting:
            batch, waiting = waiting[-_AT_ONCE:], waiting[:-_AT_ONCE]
            for tree, nodes in zip(batch, pool.map(lambda tree: load_tree(repo, tree), batch), strict=True):
                yield tree, nodes
                waiting += [
                    node.subtree for node in nodes if node.subtree is not None and is_new(node.subtree)
                ]


def load_tree(repo: Repository, tree: bytes) -> list[Node]:
    """Return the nodes of a tree that a snapshot needs. Raises Damaged or BlobNotFound, naming it."""
    try:
        nodes = decode_tree(repo.load_blob("tree", tree))
    except BlobNotFound:
        raise
    except Damaged as error:
        raise Damaged(f"the tree {tree.hex()} cannot be read: {error}") from error
    for node in nodes:
        if node.type == "dir" and node.subtree is None:
            raise Damaged(f"the tree {tree.hex()} does not say what the folder {node.name!r} holds")
    return nodes
