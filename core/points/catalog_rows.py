"""Put trees into the catalog: gathered in memory, written some thousand entries at a time."""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from core.points import catalog_file
from core.points.catalog_file import FILE, FILLED, FOLDER, LINK, NAMED, OTHER, WHOLE
from core.points.tokens import printable
from repository.gotext import parse_time
from repository.tree import Node, linktarget

_AT_ONCE = 5_000  # entries; others wait for about so long as writing them takes
_REMEMBERED = 200_000  # ids of names and trees: some 30 MB
_NANO = 1_000_000_000
_ID_BYTES = 16
_LARGEST = 2**63 - 1
_NEW_TREE = "INSERT INTO trees (hash, state) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id"
_KNOWN_TREE = "SELECT id FROM trees WHERE hash = ?"
_NEW_NAME = "INSERT INTO names (name, folded) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id"
_KNOWN_NAME = "SELECT id FROM names WHERE name = ?"
_NEW_LETTERS = "INSERT INTO letters (rowid, folded) VALUES (?, ?)"
_MARK = "UPDATE trees SET state = ? WHERE id = ? AND state < ?"
_KINDS = {"file": FILE, "dir": FOLDER, "symlink": LINK}


class Entry(NamedTuple):
    """What is kept of a node. `content`: of files and links, the same for the same content."""

    name: bytes
    kind: int
    size: int
    mtime: int
    content: bytes | None
    subtree: bytes | None


class Writer:
    """Adds trees. Its caller is in `catalog_file.filling`; after an error it is of no use any more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._added: dict[bytes, list[Entry]] = {}
        self._count = 0
        self._whole: dict[bytes, None] = {}
        self.roots: list[tuple[int, bytes]] = []  # points whose tree is whole, not yet written
        self._tree_ids: dict[bytes, int] = {}
        self._name_ids: dict[bytes, int] = {}

    def is_whole(self, tree: bytes) -> bool:
        """Tell whether a tree is here with all below it."""
        return tree in self._whole or self._state(tree) == WHOLE

    def below(self, tree: bytes) -> list[bytes] | None:
        """Return the folders in a tree that was added before; None: it was not."""
        if tree in self._added:
            return _folders(self._added[tree])
        if self._state(tree) < FILLED:
            return None
        query = (
            "SELECT below.hash FROM trees AS here JOIN entries ON entries.tree_id = here.id"
            " JOIN trees AS below ON below.id = entries.subtree_id WHERE here.hash = ?"
        )
        return [row[0] for row in self._connection.execute(query, (tree,))]

    def add(self, tree: bytes, nodes: Iterable[Node]) -> list[bytes]:
        """Add a tree; return the folders in it."""
        entries = [entry_of(node) for node in nodes]
        self._added[tree] = entries
        self._count += len(entries)
        if self._count >= _AT_ONCE:
            self.flush()
        return _folders(entries)

    def note_whole(self, tree: bytes) -> None:
        """Note that all below a tree was added, and the tree."""
        self._whole[tree] = None
        if len(self._whole) >= _AT_ONCE:
            self.flush()

    def add_root(self, point_id: int, tree: bytes) -> None:
        """Say that a point is catalogued: its tree is whole. All that was added is written with that."""
        self.roots.append((point_id, tree))
        self.flush()

    def flush(self) -> None:
        """Write what was added."""
        with catalog_file.transaction(self._connection):
            for tree, entries in self._added.items():
                self._write(tree, entries)
            ids = [(WHOLE, self._tree_id(tree), WHOLE) for tree in self._whole]
            self._connection.executemany(_MARK, ids)
            roots = [(point_id, self._tree_id(tree)) for point_id, tree in self.roots]
            self._connection.executemany("INSERT OR REPLACE INTO roots VALUES (?, ?)", roots)
        self._added, self._count, self._whole, self.roots = {}, 0, {}, []

    def _write(self, tree: bytes, entries: Sequence[Entry]) -> None:
        tree_id = self._tree_id(tree)
        rows = [
            (
                tree_id, self._name_id(entry.name), entry.kind, entry.size, entry.mtime, entry.content,
                None if entry.subtree is None else self._tree_id(entry.subtree),
            )
            for entry in entries
        ]  # fmt: skip
        # Another process may have added the same tree: then it has the same entries.
        self._connection.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._connection.execute(_MARK, (FILLED, tree_id, FILLED))

    def _state(self, tree: bytes) -> int:
        row = self._connection.execute("SELECT state FROM trees WHERE hash = ?", (tree,)).fetchone()
        return NAMED if row is None else int(row[0])

    def _tree_id(self, tree: bytes) -> int:
        known = self._tree_ids.get(tree)
        if known is None:
            known, _ = self._insert(_NEW_TREE, _KNOWN_TREE, (tree, NAMED))
            _remember(self._tree_ids, tree, known)
        return known

    def _name_id(self, name: bytes) -> int:
        known = self._name_ids.get(name)
        if known is None:
            folded = fold(name)
            known, is_new = self._insert(_NEW_NAME, _KNOWN_NAME, (name, folded))
            if is_new:
                self._connection.execute(_NEW_LETTERS, (known, folded))
            _remember(self._name_ids, name, known)
        return known

    def _insert(self, new: str, known: str, values: tuple[object, object]) -> tuple[int, bool]:
        """Return the id of a row, made now unless it is there; and whether it was made."""
        if row := self._connection.execute(new, values).fetchone():
            return int(row[0]), True
        return int(self._connection.execute(known, values[:1]).fetchone()[0]), False


def entry_of(node: Node) -> Entry:
    """Return what is kept of a node."""
    kind = _KINDS.get(node.type, OTHER)
    return Entry(
        node.name, kind, min(node.size, _LARGEST), parse_time(node.mtime) // _NANO, content_of(node),
        node.subtree if kind == FOLDER else None,
    )  # fmt: skip


def content_of(node: Node) -> bytes | None:
    """Return what is the same for the same content, and for nothing else; None where there is none."""
    if node.type == "symlink":
        return _digest(linktarget(node))
    if node.type != "file":
        return None
    blobs = node.content or ()
    return blobs[0][:_ID_BYTES] if len(blobs) == 1 else _digest(b"".join(blobs))


def fold(name: bytes) -> str:
    """Return a name as it is searched for: as people read it, without upper case."""
    if name.isascii() and (text := name.decode()).isprintable():
        return text.lower()
    return fold_text(printable(name))


def fold_text(text: str) -> str:
    """Return what somebody typed, folded as names are."""
    return unicodedata.normalize("NFC", text).casefold()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_ID_BYTES]


def _folders(entries: Iterable[Entry]) -> list[bytes]:
    return [entry.subtree for entry in entries if entry.subtree is not None]


def _remember(ids: dict[bytes, int], key: bytes, value: int) -> None:
    if len(ids) >= _REMEMBERED:
        ids.clear()
    ids[key] = value
