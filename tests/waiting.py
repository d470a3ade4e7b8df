"""Wait for what another process or thread is about to do: never for a time alone."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(holds: Callable[[], bool], at_most_s: float = 120) -> None:
    """Return as soon as it holds. Raises AssertionError if it does not in that time."""
    deadline = time.monotonic() + at_most_s
    while not holds():
        assert time.monotonic() < deadline, f"it does not hold after {at_most_s} s"
        time.sleep(0.02)
