"""Who runs a job: naming a process beyond doubt, and telling whether it is dead."""

from __future__ import annotations

import os
from dataclasses import dataclass

from core import app_state
from core.models import Job


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process of some machine. `started` is its start time in clock ticks, `@`, its pid namespace."""

    node: str
    boot_id: str
    pid: int
    started: str


def this_process() -> ProcessName:
    """Return the name of the process that calls."""
    return ProcessName(app_state.node_id(), app_state.boot_id(), os.getpid(), _started(os.getpid()) or "")


def is_dead(job: Job) -> bool:
    """Tell whether the process that last claimed the job is *proven* dead. False if that cannot be known."""
    if job.pid is None or job.node != app_state.node_id():
        return False
    if job.boot_id != app_state.boot_id():
        return True  # this very machine was started anew since
    namespace = _pid_namespace()
    if job.pid_started.partition("@")[2] != namespace:
        return False  # a container's numbers mean nothing here
    return _started(job.pid) != job.pid_started


def is_alive(job: Job) -> bool:
    """Tell whether the process that last claimed the job is seen to run here."""
    if job.pid is None or job.node != app_state.node_id() or job.boot_id != app_state.boot_id():
        return False
    return bool(job.pid_started) and _started(job.pid) == job.pid_started


def _started(pid: int) -> str | None:
    """Return when a process of this namespace started; None if there is none, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the command, in parentheses, may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return f"{fields[19].decode()}@{_pid_namespace()}"


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:  # a kernel without namespaces has just the one
        return ""
