"""Search all points for a file: by its name in the catalog, then up to the points that hold it."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import select

from core.db import db
from core.models import Point
from core.points import catalog_climb, catalog_file, catalog_pattern
from core.points.catalog_climb import Bits, Held
from core.points.catalog_entries import Row, masks
from core.points.catalog_pattern import Pattern
from core.points.catalog_rows import fold
from core.points.tokens import printable, token_from_path

MOST_SHOWN = 50
NOTHING_SAID = (
    "Too much has such a name: not all of it could be looked at, and in what was, nothing fits. "
    "This does not say that no point holds it."
)
LONGEST_S = 3.0  # of one look at the file
# What a page can look at within a tenth of a second; with folders named, most of what is found falls away.
_MOST_NAMES, _MOST_NAMES_WITHIN, _MOST_ENTRIES, _MOST_POINTS = 500, 20_000, 1_000, 6_000
_MORE_WITH_FOLDERS = 3
_LOOK_EVERY = 10_000  # steps of SQLite's between two looks at the clock
_WITH_LETTERS = "SELECT rowid, folded FROM letters WHERE folded GLOB ?"
_OF_NAME = (
    "SELECT name_id, tree_id, kind, size, mtime, coalesce(content, subtree_id) FROM entries WHERE name_id = ?"
    " LIMIT ?"
)

Standing = list[tuple[int, Row]]  # entries of one path, each with what holds it as bits


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
    """What a search found, best first; `more`: there is, or may be, more than that. `partial`: so many points
    hold it that not all were counted."""

    found: list[Found]
    more: bool
    partial: bool = False

    @property
    def nothing_said(self) -> bool:
        """Whether nothing was found only because the search did not get to the end."""
        return self.more and not self.found


def search(text: str, config_id: str | None = None, most: int | None = None) -> Answer:
    """Find files, links and folders by name in all catalogued points. Raises Invalid, CatalogUnusable.

    At most `most` are found. What other configs hold of that name keeps nothing of a config from being found.
    """
    pattern, most = catalog_pattern.parse(text), most or MOST_SHOWN
    with catalog_file.reading() as connection:
        answer = _look(connection, pattern, config_id, most, None)
        if config_id and answer.more:
            within = catalog_climb.below(connection, _trees_of(connection, config_id))
            answer = _look(connection, pattern, config_id, most, within)
        return answer


def _look(
    connection: sqlite3.Connection,
    pattern: Pattern,
    config_id: str | None,
    most: int,
    within: Collection[int] | None,
) -> Answer:
    """Find what fits; `within`: in these trees alone."""
    name_ids, more = _names(connection, pattern, _MOST_NAMES if within is None else _MOST_NAMES_WITHIN)
    rows, more_rows = _rows(connection, name_ids, pattern, within)
    ups, more_trees = catalog_climb.ancestors(connection, {row.tree_id for row in rows})
    used = {name_id for above in ups.values() for _, name_id in above} | {row.name_id for row in rows}
    names = catalog_climb.names_of(connection, used)
    roots = _roots(connection, ups, config_id)
    places, more_places = catalog_climb.places(ups, roots, names)
    standing = _standing(rows, places, names, pattern)
    best = sorted(standing, key=lambda path: _rank(path, pattern))[:most]
    holders, more_points = _holders(connection, roots, [standing[path] for path in best], config_id)
    found = [one for path in best for one in _by_config(path, standing[path], holders)]
    left_out = len(standing) > len(best) or len(found) > most
    more = any((more, more_rows, more_trees, more_places, more_points, left_out))
    return Answer(found[:most], more, more_points)


def _names(connection: sqlite3.Connection, pattern: Pattern, at_most: int) -> tuple[list[int], bool]:
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
    most = at_most * (_MORE_WITH_FOLDERS if pattern.path else 1)
    return [name_id for *_, name_id in sorted(found)[:most]], len(found) > most or not in_time


def _rows(
    connection: sqlite3.Connection, name_ids: list[int], pattern: Pattern, within: Collection[int] | None
) -> tuple[list[Row], bool]:
    """Return the entries with these names; and whether there may be more."""
    rows: list[Row] = []
    most = _MOST_ENTRIES * (_MORE_WITH_FOLDERS if pattern.path else 1)
    for name_id in name_ids:
        left = most - len(rows)
        if left <= 0:
            return rows, True
        named = connection.execute(_OF_NAME, (name_id, left if within is None else -1))
        fitting = (Row(*row) for row in named if within is None or row[1] in within)
        rows += islice(fitting, left)
    return rows, len(rows) >= most


def _roots(connection: sqlite3.Connection, trees: Collection[int], config_id: str | None) -> dict[int, int]:
    """Return which of these trees are roots, of any points or of a config's, each as a bit."""
    if config_id:
        found = _trees_of(connection, config_id)
    else:
        query = "SELECT DISTINCT tree_id FROM roots WHERE tree_id IN"
        found = {row[0] for row in catalog_climb.select_in(connection, query, list(trees))}
    return {tree_id: 1 << place for place, tree_id in enumerate(sorted(found.intersection(trees)))}


def _trees_of(connection: sqlite3.Connection, config_id: str) -> set[int]:
    """Return the root trees of a config's points."""
    ids = list(db.session.scalars(select(Point.id).where(Point.config_id == config_id)))
    query = "SELECT DISTINCT tree_id FROM roots WHERE point_id IN"
    return {row[0] for row in catalog_climb.select_in(connection, query, ids)}


def _standing(
    rows: Iterable[Row],
    places: Mapping[int, Mapping[bytes, int]],
    names: Mapping[int, bytes],
    pattern: Pattern,
) -> dict[bytes, Standing]:
    """Return by path which entries stand there, each with its roots as bits."""
    found: dict[bytes, Standing] = defaultdict(list)
    for row in rows:
        for folder, mask in places.get(row.tree_id, {}).items():
            path = folder + b"/" + names[row.name_id]
            if pattern.path is None or pattern.path.match(catalog_pattern.folded_path(path)):
                found[path].append((mask, row))
    return found


class _Holders:
    """The points of root trees: as bits, from the roots that are bits, too."""

    def __init__(
        self, roots: Mapping[int, int], pairs: Sequence[tuple[int, ...]], held: Collection[Held]
    ) -> None:
        self.bits = Bits(held)
        points_of = masks(pairs, self.bits)
        self._points = {mask.bit_length(): points_of.get(tree_id, 0) for tree_id, mask in roots.items()}
        self._known: dict[int, int] = {}

    def of(self, roots: int) -> int:
        """Return the points of some roots; entries of one folder have the same."""
        if roots not in self._known:
            points, rest = 0, roots
            while rest:
                lowest = rest & -rest
                points |= self._points[lowest.bit_length()]
                rest ^= lowest
            self._known[roots] = points
        return self._known[roots]


def _holders(
    connection: sqlite3.Connection,
    roots: Mapping[int, int],
    standing: Iterable[Standing],
    config_id: str | None,
) -> tuple[_Holders, bool]:
    """Return the points that hold these, and whether there are more than are looked at."""
    wanted = 0
    for each in standing:
        for mask, _ in each:
            wanted |= mask
    trees = [tree_id for tree_id, mask in roots.items() if mask & wanted]
    query = "SELECT tree_id, point_id FROM roots WHERE tree_id IN"
    pairs = list(islice(catalog_climb.select_in(connection, query, trees), _MOST_POINTS + 1))
    held = catalog_climb.held_points({point_id for _, point_id in pairs[:_MOST_POINTS]}, config_id)
    return _Holders(roots, pairs, held), len(pairs) > _MOST_POINTS


def _by_config(path: bytes, standing: Standing, holders: _Holders) -> Iterator[Found]:
    here = [(holders.of(mask), row) for mask, row in standing]
    everywhere = 0
    for mask, _ in here:
        everywhere |= mask
    for config_id, part in holders.bits.by_config(everywhere):
        yield _one(path, config_id, part, [(mask & part, row) for mask, row in here if mask & part], holders)


def _one(path: bytes, config_id: str | None, mask: int, here: Standing, holders: _Holders) -> Found:
    newest = max(here, key=lambda each: each[0].bit_length())[1]
    return Found(
        printable(path.rpartition(b"/")[2]), path, printable(path), token_from_path(path),
        newest.shown_kind, config_id, mask.bit_count(),
        len({(row.kind, row.content) for _, row in here}), holders.bits.newest(mask),
        holders.bits.oldest(mask), newest.shown_size, newest.changed_at,
    )  # fmt: skip


def _rank(path: bytes, pattern: Pattern) -> tuple[bool, int, bytes]:
    name = path.rpartition(b"/")[2]
    return fold(name) != pattern.whole, path.count(b"/"), path
