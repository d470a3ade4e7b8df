"""Search all points for a file: by its name in the catalog, then up to the points that hold it."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from core.points import catalog_climb, catalog_file, catalog_pattern
from core.points.catalog_climb import Bits, Held
from core.points.catalog_entries import Row, masks
from core.points.catalog_pattern import Pattern
from core.points.tokens import printable, token_from_path

MOST_SHOWN = 100
LONGEST_S = 3.0  # of one look at the file
# What a page can look at within a tenth of a second; with folders named, most of what is found falls away.
_MOST_NAMES, _MOST_ENTRIES = 500, 2_000
_MORE_WITH_FOLDERS = 5
_LOOK_EVERY = 10_000  # steps of SQLite's between two looks at the clock
_WITH_LETTERS = "SELECT rowid, folded FROM letters WHERE folded GLOB ?"
_OF_NAME = (
    "SELECT name_id, tree_id, kind, size, mtime, coalesce(content, subtree_id) FROM entries WHERE name_id = ?"
    " LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file, link or folder, by its path in the points of one config.

    `size` is that of the newest, of files only; `versions` counts different contents, of folders too.
    """

    name: str
    path: bytes
    shown: str
    token: str
    kind: str  # repository.entries.Kind, or "other"
    config_id: str | None
    points: int
    versions: int
    newest: Held
    oldest: Held
    size: int | None
    mtime: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found, best first; `more`: there is, or may be, more than that."""

    found: list[Found]
    more: bool


def search(text: str, config_id: str | None = None) -> Answer:
    """Find files, links and folders by name in all catalogued points. Raises Invalid, CatalogUnusable."""
    pattern = catalog_pattern.parse(text)
    with catalog_file.opened() as connection:
        name_ids, more = _names(connection, pattern)
        rows, more_rows = _rows(connection, name_ids, pattern)
        ups, more_trees = catalog_climb.ancestors(connection, {row.tree_id for row in rows})
        used = {name_id for above in ups.values() for _, name_id in above} | {row.name_id for row in rows}
        names = catalog_climb.names_of(connection, used)
        bits, roots = _roots(connection, ups, config_id)
    places, more_places = catalog_climb.places(ups, roots, names)
    found = sorted(_found(rows, places, names, bits, pattern), key=lambda each: _rank(each, pattern))
    left_out = len(found) > MOST_SHOWN
    return Answer(found[:MOST_SHOWN], any((more, more_rows, more_trees, more_places, left_out)))


def _names(connection: sqlite3.Connection, pattern: Pattern) -> tuple[list[int], bool]:
    """Return the ids of the names that fit, the best first; and whether there may be more."""
    found: list[tuple[bool, int, int]] = []
    end, in_time = time.monotonic() + LONGEST_S, True
    connection.set_progress_handler(lambda: time.monotonic() > end, _LOOK_EVERY)
    try:
        for name_id, folded in connection.execute(_WITH_LETTERS, (pattern.glob,)):
            if pattern.name.match(folded):
                found.append((folded != pattern.whole, len(folded), name_id))
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        in_time = False
    connection.set_progress_handler(None, 0)
    most = _MOST_NAMES * (_MORE_WITH_FOLDERS if pattern.path else 1)
    return [name_id for *_, name_id in sorted(found)[:most]], len(found) > most or not in_time


def _rows(connection: sqlite3.Connection, name_ids: list[int], pattern: Pattern) -> tuple[list[Row], bool]:
    """Return the entries with these names; and whether there may be more."""
    rows: list[Row] = []
    most = _MOST_ENTRIES * (_MORE_WITH_FOLDERS if pattern.path else 1)
    for name_id in name_ids:
        left = most - len(rows)
        if left <= 0:
            return rows, True
        rows += [Row(*row) for row in connection.execute(_OF_NAME, (name_id, left))]
    return rows, len(rows) >= most


def _roots(
    connection: sqlite3.Connection, trees: Iterable[int], config_id: str | None
) -> tuple[Bits, dict[int, int]]:
    """Return which of these trees are roots, with their points as bits."""
    query = "SELECT tree_id, point_id FROM roots WHERE tree_id IN"
    pairs = list(catalog_climb.select_in(connection, query, list(trees)))
    bits = Bits(catalog_climb.held_points({point_id for _, point_id in pairs}, config_id))
    return bits, masks(pairs, bits)


def _found(
    rows: Iterable[Row],
    places: Mapping[int, Mapping[bytes, int]],
    names: Mapping[int, bytes],
    bits: Bits,
    pattern: Pattern,
) -> Iterable[Found]:
    by_path: dict[bytes, list[tuple[int, Row]]] = defaultdict(list)
    for row in rows:
        for folder, mask in places.get(row.tree_id, {}).items():
            by_path[folder + b"/" + names[row.name_id]].append((mask, row))
    for path, standing in by_path.items():
        if pattern.path is not None and not pattern.path.match(catalog_pattern.folded_path(path)):
            continue
        everywhere = 0
        for mask, _ in standing:
            everywhere |= mask
        for config_id, part in bits.by_config(everywhere):
            here = [(mask & part, row) for mask, row in standing if mask & part]
            yield _one(path, config_id, part, here, bits)


def _one(path: bytes, config_id: str | None, mask: int, here: list[tuple[int, Row]], bits: Bits) -> Found:
    newest = max(here, key=lambda each: each[0].bit_length())[1]
    return Found(
        printable(path.rpartition(b"/")[2]), path, printable(path), token_from_path(path),
        newest.shown_kind, config_id, mask.bit_count(),
        len({(row.kind, row.content) for _, row in here}), bits.newest(mask), bits.oldest(mask),
        newest.shown_size, newest.changed_at,
    )  # fmt: skip


def _rank(found: Found, pattern: Pattern) -> tuple[bool, int, str]:
    return found.name.lower() != pattern.whole, found.path.count(b"/"), found.shown
