"""Ignore SIGHUP while locks are held: `restic unlock` sends it to see whether their holder lives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Hangup:
    """Ignore SIGHUP while at least one lock is held, where this thread may decide about signals."""

    def __init__(self) -> None:
        self._held = 0
        self._before: Callable[[int, FrameType | None], Any] | int | None = None
        self._mutex = threading.Lock()

    def ignore(self) -> None:
        """Count one more lock."""
        with self._mutex:
            self._held += 1
            if self._held == 1 and _in_main_thread():
                self._before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def restore(self) -> None:
        """Count one less; after the last, what was set before holds again."""
        with self._mutex:
            self._held -= 1
            if self._held == 0 and self._before is not None and _in_main_thread():
                signal.signal(signal.SIGHUP, self._before)
                self._before = None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


hangup = Hangup()
