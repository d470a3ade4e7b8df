"""How much was chosen of a point: told soon, or told that it is not known soon."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.models import Point
from core.points import browse, points
from repository import browse as engine
from repository.browse import Extent

SOON_S = 0.7


def look(point: Point, paths: Sequence[bytes], copy_id: int | None = None) -> Extent:
    """Return how much stands at these paths, of all without one; not `complete` if that takes longer.

    Raises NotFound, and as browsing does.
    """
    chosen = engine.outermost(paths)
    if not chosen and points.is_counted(point):
        return Extent(point.files, point.bytes, point.files)
    end = time.monotonic() + SOON_S
    return browse.look(
        point,
        lambda repo, found: engine.measure(repo, found, *chosen, go_on=lambda _: time.monotonic() < end),
        chosen[0] if len(chosen) == 1 else b"/",
        copy_id,
    )
