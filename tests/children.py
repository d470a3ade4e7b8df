"""Processes, as the kernel lists them now: those that a process has started, and whether one still runs."""

from __future__ import annotations

import os
from pathlib import Path


def children_of(parent: int | None = None) -> list[int]:
    """Return the processes started by `parent` (this one by default) and not yet waited for, oldest first.

    /proc/PID/task/*/children would name them too, but a thread that ends while it is read takes its
    list along, and the kernel gives those children to another thread, which may have been read before.
    """
    wanted = str(parent or os.getpid())
    return sorted(int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and _parent(pid) == wanted)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; what remains of one that nobody has waited for yet does not."""
    fields = _status(str(pid))
    return fields is not None and fields[0] != "Z"


def _parent(pid: str) -> str | None:
    fields = _status(pid)
    return None if fields is None else fields[1]


def _status(pid: str) -> list[str] | None:
    """Return the state of a process, its parent, and more; None if it has ended (maybe while it was read)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return status.rpartition(")")[2].split()
