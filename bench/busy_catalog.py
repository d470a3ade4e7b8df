"""Fill the catalog of a busy install with as many files as it is asked for, shared out among its configs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from core.points import catalog_file
from core.points.catalog_rows import Writer
from repository.tree import Node

IN_A_FOLDER = 50
# The newest points of each config differ from those before in one folder.
_CHANGED = 2
_WORDS = ("invoice", "report", "photo", "config", "backup", "letter", "draft", "notes", "index", "module")
_ENDINGS = ("txt", "odt", "jpg", "conf", "py", "html", "log", "pdf")
_AT = "2026-01-01T00:00:00Z"
_DIFFERENT = 200_000  # numbers in names: what is unique in one install is found again in another


def fill(points: Mapping[str, Sequence[int]], files: int) -> None:
    """Catalogue `files` files for these points, given by config, the oldest first. Needs an app context."""
    each = max(1, files // max(1, len(points)))
    with catalog_file.filling(), catalog_file.opened() as connection:
        writer = Writer(connection)
        for number, (config_id, ids) in enumerate(points.items()):
            trees = [_add(writer, config_id, number * each, each, version) for version in range(_CHANGED + 1)]
            first_changed = len(ids) - _CHANGED
            for place, point_id in enumerate(ids):
                _add_root(writer, point_id, trees[max(0, place - first_changed + 1)])
        writer.flush()


def _add_root(writer: Writer, point_id: int, tree: bytes) -> None:
    """Say that a point holds a tree; many in one transaction."""
    writer.roots.append((point_id, tree))
    if len(writer.roots) >= 1_000:
        writer.flush()


def _add(writer: Writer, config_id: str, first: int, files: int, version: int) -> bytes:
    """Add the tree of one state of a config; return it. What did not change is there already."""
    folders = []
    starts = range(first, first + files, IN_A_FOLDER)
    for start, end in pairwise([*starts, first + files]):
        state = version if start == first else 0
        tree = _hash(f"{config_id}/{start}/{state}")
        if not writer.is_whole(tree):
            writer.add(tree, _files(start, end, state))
            writer.note_whole(tree)
        folders.append(Node(b"%06d" % start, "dir", mtime=_AT, subtree=tree))
    nodes = folders
    for name in (b"data", b"srv", b""):
        tree = _hash(f"{config_id}/{version}/{name!r}")
        writer.add(tree, nodes)
        writer.note_whole(tree)
        nodes = [Node(name, "dir", mtime=_AT, subtree=tree)]
    return tree


def _files(start: int, end: int, state: int) -> Iterator[Node]:
    for number in range(start, end):
        word, ending = _WORDS[number % len(_WORDS)], _ENDINGS[number % len(_ENDINGS)]
        name = f"{word}-{number * 7919 % _DIFFERENT:06}.{ending}".encode()
        content = [_hash(f"{number}/{state}")]
        yield Node(name, "file", mtime=_AT, size=1000 + number % 9000, content=content)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
