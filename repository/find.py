"""Find things in snapshots: by path, by blob, by tree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Literal, NamedTuple

from repository.lookup import load_tree
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node


class Use(NamedTuple):
    """A place in a snapshot that refers to a blob; `parent` is the tree it stands in."""

    kind: Literal["blob", "tree"]
    id: bytes
    path: bytes
    parent: bytes


def find_paths(
    repo: Repository, snapshot: Snapshot, fits: Callable[[bytes, Node], bool]
) -> Iterator[tuple[bytes, Node]]:
    """Yield (tree path, node) of all that fits, folders first. Raises Damaged, BlobNotFound."""
    for path, node, _ in _walk(repo, snapshot):
        if fits(path, node):
            yield path, node


def find_uses(
    repo: Repository, snapshot: Snapshot, blobs: Collection[bytes], trees: Collection[bytes]
) -> Iterator[Use]:
    """Yield the places that refer to one of these, each file and folder once. Raises as find_paths."""
    for path, node, parent in _walk(repo, snapshot):
        if node.subtree is not None and node.subtree in trees:
            yield Use("tree", node.subtree, path, parent)
        for blob in dict.fromkeys(node.content or ()):
            if blob in blobs:
                yield Use("blob", blob, path, parent)


def _walk(repo: Repository, snapshot: Snapshot) -> Iterator[tuple[bytes, Node, bytes]]:
    pending = [(b"", node, snapshot.tree) for node in reversed(load_tree(repo, snapshot.tree))]
    while pending:
        folder, node, parent = pending.pop()
        path = folder + b"/" + node.name
        yield path, node, parent
        if node.subtree is not None:
            tree = node.subtree
            pending += [(path, child, tree) for child in reversed(load_tree(repo, tree))]
