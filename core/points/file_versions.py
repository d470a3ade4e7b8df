"""The versions of one file: which contents it had, and in which points of its config."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.db import db
from core.models import Point
from core.points import catalog_climb, catalog_file
from core.points.catalog_climb import Bits, Held
from core.points.catalog_entries import Row, masks
from core.points.tokens import printable, token_from_path

_NAMED = (
    "SELECT name_id, tree_id, kind, size, mtime, coalesce(content, subtree_id), subtree_id FROM entries"
    " WHERE name_id = ? AND tree_id IN"
)


@dataclass(frozen=True, slots=True)
class Version:
    """A content that a path had, in the points from `oldest` to `newest`, `points` of them."""

    kind: str
    size: int | None
    mtime: datetime | None
    points: int
    newest: Held
    oldest: Held


@dataclass(frozen=True, slots=True)
class History:
    """The versions of a path in the points of a config, newest first. `absent`: in how many it is not."""

    path: bytes
    shown: str
    token: str
    versions: list[Version]
    points: int
    absent: int


def history(config_id: str | None, path: bytes) -> History:
    """Return the versions of a path in the catalogued points of a config; None: those of no config.

    Raises CatalogUnusable.
    """
    with catalog_file.reading() as connection:
        bits, roots = _roots(connection, config_id)
        rows = _walk(connection, roots, path)
    versions: dict[tuple[int, object], list[tuple[int, Row]]] = defaultdict(list)
    for mask, row in rows:
        versions[row.kind, row.content].append((mask, row))
    seen = sum(mask for mask, _ in rows)  # each point has the path once
    total = sum(mask.bit_count() for mask in roots.values())
    found = sorted((_version(each, bits) for each in versions.values()), key=_by_newest, reverse=True)
    return History(path, printable(path), token_from_path(path), found, total, total - seen.bit_count())


def _roots(connection: sqlite3.Connection, config_id: str | None) -> tuple[Bits, dict[int, int]]:
    """Return the trees of all catalogued points of a config, with the points as bits."""
    ids = list(db.session.scalars(select(Point.id).where(Point.config_id == config_id)))
    query = "SELECT tree_id, point_id FROM roots WHERE point_id IN"
    pairs = list(catalog_climb.select_in(connection, query, ids))
    bits = Bits(catalog_climb.held_points({point_id for _, point_id in pairs}))
    return bits, masks(pairs, bits)


def _walk(connection: sqlite3.Connection, roots: Mapping[int, int], path: bytes) -> list[tuple[int, Row]]:
    """Go down a path in many trees at once; return the entries at its end, each with its points as bits."""
    here, found = dict(roots), list[tuple[int, Row, int | None]]()
    for name in path.strip(b"/").split(b"/"):
        row = connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        if row is None:
            return []
        found = [
            (here[each[1]], Row(*each[:6]), each[6])
            for each in catalog_climb.select_in(connection, _NAMED, list(here), row[0])
        ]
        here = defaultdict(int)
        for mask, _, subtree in found:
            if subtree is not None:
                here[subtree] |= mask
    return [(mask, row) for mask, row, _ in found]


def _version(standing: list[tuple[int, Row]], bits: Bits) -> Version:
    everywhere = 0
    for mask, _ in standing:
        everywhere |= mask
    row = max(standing, key=lambda each: each[0].bit_length())[1]
    return Version(
        row.shown_kind, row.shown_size, row.changed_at, everywhere.bit_count(),
        bits.newest(everywhere), bits.oldest(everywhere),
    )  # fmt: skip


def _by_newest(version: Version) -> tuple[datetime, int]:
    return version.newest.taken_at, version.newest.id
