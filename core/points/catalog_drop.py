"""Drop what no point needs from the catalog: trees with their last point, names with their last tree."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from sqlalchemy import select

from core.db import db
from core.models import Copy
from core.points import catalog_file
from core.points.catalog_file import CatalogUnusable
from core.points.catalog_fill import catalogued

_log = logging.getLogger(__name__)

_AT_ONCE = 200  # trees in one transaction; searches read meanwhile
_NAMES_AT_ONCE = 5_000

# What nobody refers to: no point, and no folder that is here.
_UNUSED = (
    "SELECT id FROM trees WHERE id = ? AND NOT EXISTS (SELECT 1 FROM roots WHERE tree_id = trees.id)"
    " AND NOT EXISTS (SELECT 1 FROM entries WHERE subtree_id = trees.id)"
)


def after_cleanup() -> None:
    """Do so when points were removed. What fails is logged: search leaves points out that are gone."""
    try:
        sweep()
    except CatalogUnusable as error:
        _log.warning("the catalog was not cleaned: %s", error)
    except Exception:  # noqa: BLE001  (the clean-up has ended, and what follows it matters more)
        _log.exception("the catalog was not cleaned")
        db.session.rollback()


def sweep() -> int:
    """Drop what no point needs; return how many points went. While somebody fills, it is left to the next.

    Raises CatalogUnusable.
    """
    with catalog_file.dropping() as alone:
        if not alone:
            return 0
        with catalog_file.opened() as connection:
            gone = sorted(catalogued(connection) - _there())
            if not gone:
                return 0
            _drop_points(connection, gone)
            _drop_names(connection)
            connection.execute("PRAGMA wal_checkpoint (TRUNCATE)")
            return len(gone)


def _there() -> set[int]:
    """Return the points whose snapshot is still somewhere, in the trash or not."""
    found = select(Copy.point_id).where(Copy.forgotten_at.is_(None), Copy.lost_at.is_(None)).distinct()
    ids = set(db.session.scalars(found))
    db.session.rollback()
    return ids


def _drop_points(connection: sqlite3.Connection, gone: Sequence[int]) -> None:
    # Trees first found unused may have been left by a fill that was killed and whose point is gone since.
    waiting = [row[0] for row in connection.execute("SELECT id FROM trees WHERE state < 2")]
    for point_id in gone:
        waiting += [
            row[0] for row in connection.execute("SELECT tree_id FROM roots WHERE point_id = ?", (point_id,))
        ]
    with catalog_file.transaction(connection):
        connection.executemany("DELETE FROM roots WHERE point_id = ?", [(each,) for each in gone])
    while waiting:
        batch, waiting = waiting[-_AT_ONCE:], waiting[:-_AT_ONCE]
        with catalog_file.transaction(connection):
            waiting += _drop_trees(connection, batch)


def _drop_trees(connection: sqlite3.Connection, trees: Iterable[int]) -> list[int]:
    """Drop those that nothing refers to; return the trees that were in them, which may be next."""
    below: list[int] = []
    for tree_id in trees:
        if connection.execute(_UNUSED, (tree_id,)).fetchone() is None:
            continue
        query = "SELECT subtree_id FROM entries WHERE tree_id = ? AND subtree_id IS NOT NULL"
        below += [row[0] for row in connection.execute(query, (tree_id,))]
        connection.execute("DELETE FROM entries WHERE tree_id = ?", (tree_id,))
        connection.execute("DELETE FROM trees WHERE id = ?", (tree_id,))
    return below


def _drop_names(connection: sqlite3.Connection) -> None:
    query = (
        "SELECT id, folded FROM names"
        " WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.name_id = names.id)"
    )
    for batch in _batches(connection.execute(query).fetchall()):
        with catalog_file.transaction(connection):
            connection.executemany(
                "INSERT INTO letters (letters, rowid, folded) VALUES ('delete', ?, ?)", batch
            )
            connection.executemany("DELETE FROM names WHERE id = ?", [(row[0],) for row in batch])


def _batches(rows: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    rest = iter(rows)
    while batch := list(islice(rest, _NAMES_AT_ONCE)):
        yield batch
