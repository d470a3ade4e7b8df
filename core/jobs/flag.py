"""A flag that a signal handler may set."""

from __future__ import annotations


class Flag:
    """Once set, it stays set. Nobody can wait for it: who wants to know looks.

    Not a threading.Event: that takes a lock to be set, and a signal handler may interrupt the very thread
    that holds it (a second signal does), which then waits for itself for ever.
    """

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Set it."""
        self._set = True

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._set
