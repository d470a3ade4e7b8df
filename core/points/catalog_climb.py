"""From folders of the catalog up to the points that hold them: a folder's tree does not know where it stands.

Points are bits of one number, so that a folder that stands in thousands of them costs no more than in one.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import select

from core.db import db
from core.models import Point
from core.points import points

MOST_TREES = 20_000
MOST_PATHS = 20_000
_CHUNK = 500

Ups = dict[int, list[tuple[int, int]]]  # by tree: the folders that hold it, and by what name


@dataclass(frozen=True, slots=True)
class Held:
    """A point as far as search needs it."""

    id: int
    taken_at: datetime
    config_id: str | None


class Bits:
    """Points as bits: those of one config side by side, the oldest first."""

    def __init__(self, held: Collection[Held]) -> None:
        order = sorted(held, key=lambda each: (each.config_id or "", each.taken_at, each.id))
        self._order = order
        self.bit_of = {each.id: 1 << place for place, each in enumerate(order)}
        self._of_config: dict[str | None, int] = defaultdict(int)
        for each in order:
            self._of_config[each.config_id] |= self.bit_of[each.id]

    def by_config(self, mask: int) -> Iterator[tuple[str | None, int]]:
        """Yield the configs that points of a mask belong to, each with its part of the mask."""
        while mask:
            config_id = self.oldest(mask).config_id
            part = mask & self._of_config[config_id]
            yield config_id, part
            mask ^= part

    def oldest(self, mask: int) -> Held:
        """Return the oldest of some points of one config."""
        return self._order[(mask & -mask).bit_length() - 1]

    def newest(self, mask: int) -> Held:
        """Return the newest of some points of one config."""
        return self._order[mask.bit_length() - 1]

    def all_of(self, mask: int) -> list[Held]:
        """Return the points of a mask, the newest first."""
        return [each for each in reversed(self._order) if self.bit_of[each.id] & mask]


def held_points(ids: Collection[int], config_id: str | None = None) -> list[Held]:
    """Return those of these points that are still there, of one config or of all."""
    query = select(Point.id, Point.taken_at, Point.config_id).where(Point.copies.any(points.there()))
    if config_id:
        query = query.where(Point.config_id == config_id)
    return [
        Held(*row)
        for part in chunks(list(ids), 10_000)
        for row in db.session.execute(query.where(Point.id.in_(part)))
    ]


def ancestors(connection: sqlite3.Connection, trees: Collection[int]) -> tuple[Ups, bool]:
    """Return what holds these trees, up to the roots; and whether there was too much of it to look at all."""
    ups: Ups = {tree: [] for tree in trees}
    frontier = list(ups)
    while frontier and len(ups) <= MOST_TREES:
        above: dict[int, None] = {}
        for tree, parent, name_id in select_in(
            connection, "SELECT subtree_id, tree_id, name_id FROM entries WHERE subtree_id IN", frontier
        ):
            ups[tree].append((parent, name_id))
            above[parent] = None
        frontier = [tree for tree in above if tree not in ups]
        ups |= {tree: [] for tree in frontier}
    return ups, bool(frontier)


def below(connection: sqlite3.Connection, roots: Collection[int]) -> set[int]:
    """Return these trees and all that they hold."""
    found, frontier = set(roots), list(roots)
    query = "SELECT DISTINCT subtree_id FROM entries WHERE subtree_id IS NOT NULL AND tree_id IN"
    while frontier:
        frontier = [row[0] for row in select_in(connection, query, frontier) if row[0] not in found]
        frontier = list(dict.fromkeys(frontier))
        found.update(frontier)
    return found


def places(
    ups: Ups, roots: Mapping[int, int], names: Mapping[int, bytes]
) -> tuple[dict[int, dict[bytes, int]], bool]:
    """Return where each tree stands: by its path, the points, as bits; and whether there were too many.

    `roots`: the points by tree. A path has no slash at its end.
    """
    below: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for tree, above in ups.items():
        for parent, name_id in above:
            below[parent].append((tree, name_id))
    waits = {tree: len(above) for tree, above in ups.items()}
    found: dict[int, dict[bytes, int]] = {tree: {b"": roots[tree]} if tree in roots else {} for tree in ups}
    ready, count = [tree for tree, number in waits.items() if not number], 0
    while ready:
        tree = ready.pop()
        for child, name_id in below[tree]:
            count += len(found[tree])
            if count > MOST_PATHS:
                return found, True
            _stand(found[child], found[tree], names[name_id])
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    return found, False


def names_of(connection: sqlite3.Connection, ids: Collection[int]) -> dict[int, bytes]:
    """Return names by id."""
    return dict(select_in(connection, "SELECT id, name FROM names WHERE id IN", list(ids)))


def select_in(
    connection: sqlite3.Connection, query: str, keys: Sequence[int], *before: int
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query that ends in IN, for many keys; `before`: what stands before those in it."""
    for part in chunks(keys, _CHUNK):
        yield from connection.execute(f"{query} ({','.join('?' * len(part))})", (*before, *part))


def chunks(keys: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the keys, some at a time."""
    rest = iter(keys)
    while part := list(islice(rest, size)):
        yield part


def _stand(child: dict[bytes, int], parent: Mapping[bytes, int], name: bytes) -> None:
    for path, mask in parent.items():
        here = path + b"/" + name
        child[here] = child.get(here, 0) | mask
