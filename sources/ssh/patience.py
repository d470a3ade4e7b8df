"""Try again, a few times, what a broken connection interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ssh.errors import Unreachable

# Before each further try. A host that restarts its SSH server, or a link that flaps, is back by then.
WAITS_S = (0.0, 1.0, 4.0, 10.0)
_ENOUGH_S = 120.0  # each try may end by a time-out of its own

T = TypeVar("T")


class Patience:
    """How often a piece of work is tried again; for one thread."""

    def __init__(self) -> None:
        self._waits = iter(WAITS_S)
        self._began = time.monotonic()

    def wait(self, error: Unreachable) -> None:
        """Wait before the next try. Raises `error` if there were enough of them."""
        wait_s = next(self._waits, None)
        if wait_s is None or time.monotonic() - self._began > _ENOUGH_S:
            raise error
        time.sleep(wait_s)


def persist(work: Callable[[], T]) -> T:
    """Do what may be done twice, again if the connection breaks. Raises Unreachable."""
    patience = Patience()
    while True:
        try:
            return work()
        except Unreachable as error:
            patience.wait(error)
