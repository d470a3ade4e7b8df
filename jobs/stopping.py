"""SIGTERM and SIGINT as a flag to look at: the process ends in good order, at its next look."""

from __future__ import annotations

import signal
from types import FrameType

from core.jobs.flag import Flag


def flag_for_signals() -> Flag:
    """Return a flag that SIGTERM and SIGINT set, any number of times, from now on."""
    stop = Flag()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
