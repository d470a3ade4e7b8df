"""Who holds a job or a lock: naming a process beyond doubt, and telling whether it is dead."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from core import app_state


class Named(Protocol):
    """Anything that names a process: a ProcessName, or the row of a job that was claimed."""

    @property
    def node(self) -> str:
        """The machine."""

    @property
    def boot_id(self) -> str:
        """Its boot."""

    @property
    def pid(self) -> int | None:
        """The number of the process in its namespace; None if no process had it yet."""

    @property
    def pid_started(self) -> str:
        """When it started, in clock ticks, `@`, its pid namespace."""


@dataclass(frozen=True, slots=True)
class ProcessName:
    """The name of a process; see Named."""

    node: str
    boot_id: str
    pid: int
    pid_started: str


def this_process() -> ProcessName:
    """Return the name of the process that calls."""
    return ProcessName(app_state.node_id(), app_state.boot_id(), os.getpid(), _started(os.getpid()) or "")


def is_dead(process: Named) -> bool:
    """Tell whether the process is *proven* dead. False if that cannot be known."""
    if process.pid is None or process.node != app_state.node_id():
        return False
    if process.boot_id != app_state.boot_id():
        return True  # this very machine was started anew since
    namespace = _pid_namespace()
    if process.pid_started.partition("@")[2] != namespace:
        return False  # a container's numbers mean nothing here
    return _started(process.pid) != process.pid_started


def is_alive(process: Named) -> bool:
    """Tell whether the process is seen to run here."""
    if process.pid is None or process.node != app_state.node_id() or process.boot_id != app_state.boot_id():
        return False
    return bool(process.pid_started) and _started(process.pid) == process.pid_started


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
