"""A helper process of our own, and the pipe to it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from repository.pipe import Pipe

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module; "
    "import_module(sys.argv[2]).main(int(sys.argv[3]))"
)
_END_WITHIN_S = 5.0


class Child:
    """A process that runs `main` of a module, with the descriptor of its end of `pipe`. Raises OSError."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        self.pipe = Pipe(ours)
        root, fd = str(Path(__file__).parent.parent), theirs.fileno()
        try:
            # A group of its own: Ctrl-C in a terminal must not hit it while it starts.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, root, module, str(fd)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[fd],
                process_group=0,
            )
        except OSError:
            self.pipe.close()
            raise
        finally:
            theirs.close()  # or we would not see when it is gone

    def end(self) -> None:
        """Tell the process to end now; wakes the thread that waits for it."""
        self._process.terminate()
        self.pipe.shut_down()

    def wait(self) -> int:
        """Wait until the process is gone, and return its code; one that does not end soon is killed."""
        try:
            return self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # stopped by somebody, or stuck in a read
            return self._process.wait()

    def death(self) -> str:
        """Wait until it is gone, and return in words how it ended."""
        code = self.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def become_child() -> None:
    """Set up the signals of a process that was just started as a Child."""
    # The parent decides when to stop; the terminal's Ctrl-C and restic's SIGHUP are meant for it.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
