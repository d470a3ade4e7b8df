"""A child of the supervisor: started, its last words kept, started anew when it dies, not without end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from core.settings import PROJECT_DIR

# A death so soon after the start is quick; after so many of them in a row it is given up.
QUICK_S = 10.0
GIVE_UP_AFTER = 3
_LONGEST_PAUSE_S = 30.0


class Child:
    """One of the processes that make up Holdfast. It ends when the supervisor does, even by SIGKILL."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._quick_deaths = 0
        self._words: deque[str] = deque(maxlen=50)

    def look(self) -> bool:
        """Start it, if it is not running and its pause is over; False if it is to be given up."""
        if self._process is not None and self._process.poll() is not None:
            self._note_death()
        if self._process is None and time.monotonic() >= self._start_at:
            self._start()
        return self._quick_deaths < GIVE_UP_AFTER

    @property
    def alive(self) -> bool:
        """Tell whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """What it last wrote."""
        return "".join(self._words)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None and self.alive:
            self._process.terminate()

    def wait(self, until: float) -> None:
        """Wait for its end, up to a time of the monotonic clock; then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        # A session of its own: Ctrl-C reaches the supervisor alone, which ends the children in good order.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs.follow", str(os.getpid()), sys.executable, "-m", *self._arguments],
            cwd=PROJECT_DIR,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._started_at = time.monotonic()
        threading.Thread(target=self._pass_on, args=(self._process,), daemon=True).start()

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._words.append(line)
                sys.stderr.write(line)
                sys.stderr.flush()

    def _note_death(self) -> None:
        quick = time.monotonic() - self._started_at < QUICK_S
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        self._start_at = time.monotonic() + min(_LONGEST_PAUSE_S, 2.0**self._quick_deaths / 2)
        self._process = None
