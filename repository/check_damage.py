"""Blobs that are lost, and whom that hits."""

from __future__ import annotations

from collections.abc import Sequence

from repository.errors import BlobNotFound, Damaged
from repository.index import Index
from repository.packfile import BlobType, PackedBlob
from repository.repository import Repository
from repository.snapshots import Found
from repository.tree import Node
from repository.tree_decode import decode_tree

MAX_NAMED = 1000  # paths; more do not help anybody


class Damage:
    """Bad places of blobs. A blob is lost when no good place is left."""

    def __init__(self) -> None:
        self._bad: dict[tuple[BlobType, bytes], set[bytes]] = {}
        self._lost: set[tuple[BlobType, bytes]] = set()

    def add_place(self, pack: bytes, blob: PackedBlob) -> None:
        """Take note that a blob is bad in one pack."""
        self._bad.setdefault((blob.type, blob.id), set()).add(pack)

    def add_lost(self, blob_type: BlobType, blob_id: bytes) -> None:
        """Take note that a blob cannot be had at all."""
        self._lost.add((blob_type, blob_id))

    def lost(self, index: Index) -> set[tuple[BlobType, bytes]]:
        """Return the blobs that cannot be had."""
        gone = {
            key for key, packs in self._bad.items() if {place.pack for place in index.lookup(*key)} <= packs
        }
        return gone | self._lost


def name_affected(repo: Repository, snapshots: Sequence[Found], damage: Damage) -> list[tuple[str, bytes]]:
    """Return (snapshot id in hex, tree path) of what needs a lost blob, MAX_NAMED at most."""
    lost = damage.lost(repo.index)
    if not lost:
        return []
    finder = _Finder(repo, lost)
    named: list[tuple[str, bytes]] = []
    for snapshot_id, snapshot in snapshots:
        for path in finder.find(snapshot.tree):
            if len(named) == MAX_NAMED:
                return named
            named.append((snapshot_id.hex(), path))
    return named


class _Finder:
    """Find what in a tree needs lost blobs. Trees without any are remembered: snapshots share most."""

    def __init__(self, repo: Repository, lost: set[tuple[BlobType, bytes]]) -> None:
        self._repo = repo
        self._lost = lost
        self._clean: set[bytes] = set()

    def find(self, root: bytes) -> list[bytes]:
        """Return the paths below a root that are hit, in order."""
        found: list[bytes] = []
        # (tree, its path, how many paths were found before it); a tree is looked at again on the way up
        stack: list[tuple[bytes, bytes, int]] = [(root, b"/", -1)]
        while stack:
            tree, path, before = stack.pop()
            if before >= 0:
                if len(found) == before:
                    self._clean.add(tree)
            elif tree not in self._clean:
                stack.append((tree, path, len(found)))
                stack += self._look(tree, path, found)
        return found

    def _look(self, tree: bytes, path: bytes, found: list[bytes]) -> list[tuple[bytes, bytes, int]]:
        nodes = self._load(tree)
        if nodes is None:
            found.append(path)
            return []
        below = []
        for node in nodes:
            child = (b"" if path == b"/" else path) + b"/" + node.name
            if any(("data", blob) in self._lost for blob in node.content or ()):
                found.append(child)
            if node.subtree is not None:
                below.append((node.subtree, child, -1))
        return below[::-1]

    def _load(self, tree: bytes) -> list[Node] | None:
        if ("tree", tree) in self._lost:
            return None
        try:
            return decode_tree(self._repo.load_blob("tree", tree))
        except (BlobNotFound, Damaged):
            return None
