"""Check that each snapshot's trees can be read, and that what they refer to is in the index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from repository.check_damage import Damage
from repository.entries import Kind
from repository.errors import BlobNotFound, Damaged
from repository.lookup import is_safe_name
from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from repository.snapshots import Found
from repository.tree import Node
from repository.tree_decode import decode_tree

_KINDS = frozenset(get_args(Kind))


def check_trees(
    repo: Repository,
    snapshots: Sequence[Found],
    damage: Damage,
    errors: list[str],
    progress: ProgressCallback,
) -> int:
    """Check every tree that a snapshot reaches, each once; return how many."""
    walk = _Walk(repo, damage, errors)
    for done, (snapshot_id, snapshot) in enumerate(snapshots, 1):
        walk.run(snapshot.tree, f"snapshot {snapshot_id.hex()[:8]}")
        progress(Progress("checking", done, len(snapshots)))
    return len(walk.seen)


class _Walk:
    def __init__(self, repo: Repository, damage: Damage, errors: list[str]) -> None:
        self._repo = repo
        self._damage = damage
        self._errors = errors
        self.seen: set[bytes] = set()

    def run(self, root: bytes, where: str) -> None:
        stack = [(root, b"/")]
        while stack:
            tree, path = stack.pop()
            if tree in self.seen:
                continue
            self.seen.add(tree)
            folder = b"" if path == b"/" else path
            for node in self._load(tree, f"{where}, folder {path!r}"):
                for fault in self._faults(node):
                    self._errors.append(f"{where}, {folder + b'/' + node.name!r}: {fault}")
                if node.type == "dir" and node.subtree is not None:
                    stack.append((node.subtree, folder + b"/" + node.name))

    def _load(self, tree: bytes, where: str) -> list[Node]:
        try:
            return decode_tree(self._repo.load_blob("tree", tree))
        except (BlobNotFound, Damaged) as error:
            self._damage.add_lost("tree", tree)
            self._errors.append(f"{where}: {error}")
            return []

    def _faults(self, node: Node) -> list[str]:
        """Return what cannot be with a node, in words."""
        faults = []
        if node.type not in _KINDS:
            faults.append(f"unknown type {node.type!r}")
        if not is_safe_name(node.name):
            faults.append("no file can have this name")
        if node.type == "dir" and node.subtree is None:
            faults.append("the folder has no content, not even an empty one")
        if node.type == "file" and (fault := self._fault_in_content(node)):
            faults.append(fault)
        return faults

    def _fault_in_content(self, node: Node) -> str:
        if node.content is None:
            return "the file has no content, not even an empty one"
        size = 0
        for blob in node.content:
            length = self._repo.index.plain_length("data", blob)
            if length is None:
                self._damage.add_lost("data", blob)
                return f"the data blob {blob.hex()} is in no index file"
            size += length
        return "" if size == node.size else f"its size is {node.size}, but its content has {size} bytes"
