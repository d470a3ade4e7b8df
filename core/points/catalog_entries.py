"""Entries of the catalog as they are read, and what they mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.points.catalog_climb import Bits
from core.points.catalog_file import FILE, FOLDER, LINK

KINDS = {FILE: "file", FOLDER: "dir", LINK: "symlink"}


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of the catalog; `content` tells versions apart."""

    name_id: int
    tree_id: int
    kind: int
    size: int
    mtime: int | None
    content: object

    @property
    def shown_kind(self) -> str:
        """What it is: a repository.entries.Kind, or "other"."""
        return KINDS.get(self.kind, "other")

    @property
    def shown_size(self) -> int | None:
        """Its size, of files only."""
        return self.size if self.kind == FILE else None

    @property
    def changed_at(self) -> datetime | None:
        """When it was changed; None in years that Python's calendar does not have."""
        try:
            return None if self.mtime is None else datetime.fromtimestamp(self.mtime, UTC)
        except (ValueError, OverflowError):
            return None


def masks(pairs: Iterable[tuple[int, ...]], bits: Bits) -> dict[int, int]:
    """Return the points of each tree as bits, from pairs of tree and point; of those that `bits` knows."""
    found: dict[int, int] = defaultdict(int)
    for tree_id, point_id in pairs:
        found[tree_id] |= bits.bit_of.get(point_id, 0)
    return {tree_id: mask for tree_id, mask in found.items() if mask}
