"""Run a command that must not outlive its starter: `python -m jobs.follow <pid of the starter> command…`.

The kernel sends it SIGTERM when the starter dies, however that happens; that holds for the command, too.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command."""
    starter, command = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != starter:
        sys.exit(1)  # it died before the kernel knew
    os.execvp(command[0], command)  # noqa: S606  (no shell is what we want)


if __name__ == "__main__":
    main(sys.argv[1:])
