"""How fast a job is just now: over the last half minute, so that it follows a line that changes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 30.0
# Over less than this a rate is noise.
_SETTLED_S = 4.0


class Pace:
    """Moments of one job as (time, phase, bytes done). For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase = ""
        self._moments: deque[tuple[float, int]] = deque()

    def note(self, phase: str, bytes_done: int) -> int | None:
        """Take in where it is now; return bytes a second, None while that is not known yet."""
        now = self._clock()
        if phase != self._phase or (self._moments and bytes_done < self._moments[-1][1]):
            self._moments.clear()  # what came before says nothing about this
        self._phase = phase
        self._moments.append((now, bytes_done))
        while len(self._moments) > 2 and now - self._moments[1][0] >= WINDOW_S:
            self._moments.popleft()
        since, before = self._moments[0]
        if now - since < _SETTLED_S:
            return None
        return round((bytes_done - before) / (now - since))
