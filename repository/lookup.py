"""Find folders and files in a snapshot, and read them, without restoring anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from repository.errors import BlobNotFound, Damaged, PathNotFound
from repository.prefetch import Prefetch
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node
from repository.tree_decode import decode_tree


def list_dir(repo: Repository, snapshot: Snapshot, path: bytes = b"/") -> list[Node]:
    """Return the nodes in a folder of a snapshot, by raw name. Raises PathNotFound, Damaged, BlobNotFound."""
    return load_tree(repo, _subtree(find_node(repo, snapshot, path), path))


def find_node(repo: Repository, snapshot: Snapshot, path: bytes) -> Node:
    """Return the node at a tree path; for `/` one without a name that holds the root's tree.

    Raises PathNotFound, Damaged, BlobNotFound.
    """
    node = Node(b"", "dir", subtree=snapshot.tree)
    for name in path.split(b"/"):
        if name in (b"", b"."):
            continue
        nodes = load_tree(repo, _subtree(node, path))
        found = next((each for each in nodes if each.name == name), None)
        if found is None:
            raise PathNotFound(f"there is no {path!r} in this snapshot: {name!r} is missing")
        node = found
    return node


def walk(repo: Repository, node: Node, path: bytes = b"/") -> Iterator[tuple[bytes, Node]]:
    """Yield (tree path, node) for everything below a folder, a folder before what is in it."""
    pending = [(path, each) for each in reversed(load_tree(repo, _subtree(node, path)))]
    while pending:
        folder, each = pending.pop()
        below = (b"" if folder == b"/" else folder) + b"/" + each.name
        yield below, each
        if each.type == "dir":
            pending += [(below, child) for child in reversed(load_tree(repo, _subtree(each, below)))]


def read_file(repo: Repository, node: Node) -> Iterator[bytes]:
    """Yield the content of a file, reading ahead.

    Raises Damaged or BlobNotFound, also in the middle, and at the end if the length is not the snapshot's:
    whoever passes the bytes on must cut the connection then.
    """
    if node.type != "file" or node.content is None:
        raise PathNotFound(f"{node.name!r} is no file: only files have content to read")
    with closing(Prefetch(repo, iter([(None, node.content)]))) as stream:
        next(stream)
        yield from content(stream, node)


def content(stream: Prefetch[Any], node: Node) -> Iterator[bytes]:
    """Yield a file's content from a stream that stands at its mark. Raises as read_file."""
    size = 0
    for chunk in stream.blobs(len(node.content or ())):
        size += len(chunk)
        yield chunk
    if size != node.size:
        raise Damaged(f"the content of {node.name!r} has {size} bytes, but the snapshot says {node.size}")


def is_safe_name(name: bytes) -> bool:
    """Tell whether a node's name is one: a hostile one could lead out of the folder it is written to."""
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def load_tree(repo: Repository, tree: bytes) -> list[Node]:
    """Return the nodes of a tree. If its blob is not to be found, the index is loaded anew once.

    Browsing holds no lock, so a prune may have moved the blob to another pack meanwhile.
    """
    try:
        return decode_tree(repo.load_blob("tree", tree))
    except BlobNotFound:
        repo.load_index()
        return decode_tree(repo.load_blob("tree", tree))


def _subtree(node: Node, path: bytes) -> bytes:
    if node.type != "dir":
        raise PathNotFound(f"{path!r} leads through {node.name!r}, which is no folder")
    if node.subtree is None:
        raise Damaged(f"the snapshot names no content for the folder {node.name!r}")
    return node.subtree
