"""The child processes of a process, as the kernel lists them now."""

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


def _parent(pid: str) -> str | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None  # it ended meanwhile
    return status.rpartition(")")[2].split()[1]
