"""Run a command as a whole process tree: wall time, and the peak of the memory of all its processes."""

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
    """Wall seconds; peak of the sum of PSS over the process tree, in MiB (sampled, so a lower bound)."""

    seconds: float
    peak_mib: float


class CommandFailed(Exception):
    """A command ended with an exit code that it must not have; carries the end of its output."""


def run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: str, log: str, ok: Sequence[int] = (0,)
) -> Measurement:
    """Run `command`, its output in the file `log`. Raises CommandFailed unless its exit code is in `ok`."""
    with open(log, "wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(env), cwd=cwd)
        sampler = _Sampler(process.pid)
        code = process.wait()
        seconds = time.monotonic() - started
    peak = sampler.stop()
    if code not in ok:
        with open(log, "rb") as output:
            raise CommandFailed(
                f"{' '.join(command)}: exit {code}\n{output.read()[-2000:].decode(errors='replace')}"
            )
    return Measurement(seconds, peak / 1024)


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
