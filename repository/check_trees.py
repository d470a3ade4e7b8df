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
from repository.tree import Node, decode_tree

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
            for node in self._load(tree, f"{where}, folder {path!r}"):
                child = (b"" if path == b"/" else path) + b"/" + node.name
                self._check_node(node, f"{where}, {child!r}")
                if node.type == "dir" and node.subtree is not None:
                    stack.append((node.subtree, child))

    def _load(self, tree: bytes, where: str) -> list[Node]:
        try:
            return decode_tree(self._repo.load_blob("tree", tree))
        except (BlobNotFound, Damaged) as error:
            self._damage.add_lost("tree", tree)
            self._errors.append(f"{where}: {error}")
            return []

    def _check_node(self, node: Node, where: str) -> None:
        if node.type not in _KINDS:
            self._errors.append(f"{where}: unknown type {node.type!r}")
        if not is_safe_name(node.name):
            self._errors.append(f"{where}: no file can have this name")
        if node.type == "dir" and node.subtree is None:
            self._errors.append(f"{where}: the folder has no content, not even an empty one")
        if node.type == "file":
            self._check_content(node, where)

    def _check_content(self, node: Node, where: str) -> None:
        if node.content is None:
            self._errors.append(f"{where}: the file has no content, not even an empty one")
            return
        size = 0
        for blob in node.content:
            length = self._repo.index.plain_length("data", blob)
            if length is None:
                self._damage.add_lost("data", blob)
                self._errors.append(f"{where}: the data blob {blob.hex()} is in no index file")
                return
            size += length
        if size != node.size:
            self._errors.append(f"{where}: its size is {node.size}, but its content has {size} bytes")
