"""Run a command as a whole process tree: wall and CPU time, and the peak of the memory of all of it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SAMPLE_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Measurement:
    """Wall seconds; peak of the sum of PSS over the process tree, in MiB (sampled, so a lower bound).

    `cpu_s`: user and system seconds of the tree, and of the server that worked for it, if there is one;
    `server_s`: those of the server alone.
    """

    seconds: float
    peak_mib: float
    cpu_s: float
    server_s: float = 0.0


class CommandFailed(Exception):
    """A command ended with an exit code that it must not have; carries the end of its output."""


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    log: str,
    ok: Sequence[int] = (0,),
    server: int | None = None,
) -> Measurement:
    """Run `command`, its output in the file `log`. Raises CommandFailed unless its exit code is in `ok`.

    `server`: the process that works for the command, or whose children do, and end with it.
    """
    with open(log, "wb") as output:
        before, children = _cpu_of(server), len(_tree(server)) if server else 0
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(env), cwd=cwd)
        sampler = _Sampler(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
    peak = sampler.stop()
    if code not in ok:
        with open(log, "rb") as output:
            raise CommandFailed(
                f"{' '.join(command)}: exit {code}\n{output.read()[-2000:].decode(errors='replace')}"
            )
    _await_children(server, children)
    server_s = _cpu_of(server) - before
    return Measurement(seconds, peak / 1024, usage.ru_utime + usage.ru_stime + server_s, server_s)


def _cpu_of(pid: int | None) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    if pid is None:
        return 0
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _await_children(server: int | None, count: int) -> None:
    """Wait until a server has no more children than before: what they used is known when they have ended."""
    until = time.monotonic() + 5
    while server is not None and len(_tree(server)) > count and time.monotonic() < until:
        time.sleep(0.05)


class _Sampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._peak_kib, self._done = pid, 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_EVERY_S):
            self._peak_kib = max(self._peak_kib, sum(map(_pss_kib, _tree(self._pid))))

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self._peak_kib


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as file:
                    found += map(int, file.read().split())
        except OSError:
            continue  # it ended while we looked
    return found


def _pss_kib(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0  # it ended while we looked
