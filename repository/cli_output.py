"""How the command line answers: lines for people, JSON for scripts, a progress line on a terminal."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from repository.entries import Problem
from repository.gotext import lossy_text
from repository.progress import Progress

_EVERY_S = 0.2
_JSON_EVERY_S = 1.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Output:
    """Where a command's answers go: results to stdout, problems and failures to stderr."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self._shows = not quiet and (json or sys.stdout.isatty())
        self._quiet = quiet
        self._started = time.monotonic()
        self._told_at = 0.0
        self._line = 0  # length of the progress line on the screen

    def text(self, line: str) -> None:
        """Say something to a person; nothing in JSON or quiet mode."""
        if not self.json and not self._quiet:
            self._clear()
            sys.stdout.write(line + "\n")

    def result(self, line: str) -> None:
        """Write a line that was asked for, also in quiet mode."""
        self._clear()
        sys.stdout.write(line + "\n")

    def data(self, value: Any) -> None:
        """Write one JSON document, in JSON mode."""
        if self.json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n")
            sys.stdout.flush()

    def problem(self, during: str, problem: Problem) -> None:
        """Tell about one file."""
        path = lossy_text(problem.path)
        self._clear()
        if self.json:
            self._error(
                {
                    "message_type": "error",
                    "error": {"message": problem.message, "kind": problem.kind},
                    "during": during,
                    "item": path,
                }
            )
        else:
            sys.stderr.write(f"{problem.kind}: {printable(path)}: {problem.message}\n")

    def fail(self, code: int, message: str) -> None:
        """Say why the command fails."""
        self._clear()
        if self.json:
            self._error({"message_type": "exit_error", "code": code, "message": message})
        else:
            sys.stderr.write(f"Error: {message}\n")

    def progress(self, progress: Progress) -> None:
        """Show where an operation is, a few times a second at most."""
        now = time.monotonic()
        if not self._shows or now - self._told_at < (_JSON_EVERY_S if self.json else _EVERY_S):
            return
        self._told_at = now
        if self.json:
            self.data(self._status(progress))
            return
        line = self._progress_line(progress)[:110]
        sys.stdout.write("\r" + line.ljust(self._line))
        sys.stdout.flush()
        self._line = len(line)

    def seconds(self) -> float:
        """Return how long this run has taken."""
        return time.monotonic() - self._started

    def _status(self, progress: Progress) -> dict[str, Any]:
        status: dict[str, Any] = {
            "message_type": "status",
            "phase": progress.phase,
            "seconds_elapsed": int(self.seconds()),
            "files_done": progress.files_done,
            "bytes_done": progress.bytes_done,
            "current_files": [lossy_text(progress.current)] if progress.current else [],
        }
        if progress.files_total is not None:
            status["total_files"] = progress.files_total
        if progress.bytes_total:
            status["total_bytes"] = progress.bytes_total
            status["percent_done"] = min(1.0, progress.bytes_done / progress.bytes_total)
        return status

    def _progress_line(self, progress: Progress) -> str:
        minutes, seconds = divmod(int(self.seconds()), 60)
        files = str(progress.files_done)
        if progress.files_total is not None:
            files += f" of {progress.files_total}"
        added = f", {size_text(progress.bytes_added)} stored" if progress.bytes_added else ""
        current = printable(lossy_text(progress.current))
        done = f"{files}, {size_text(progress.bytes_done)}{added}"
        return f"[{minutes}:{seconds:02}] {progress.phase}: {done}  {current}"

    def _clear(self) -> None:
        if self._line:
            sys.stdout.write("\r" + " " * self._line + "\r")
            sys.stdout.flush()
            self._line = 0

    def _error(self, value: Any) -> None:
        sys.stderr.write(json.dumps(value, ensure_ascii=True) + "\n")


def size_text(size: float) -> str:
    """Return a size for people, such as 1.5 MiB."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def printable(text: str) -> str:
    """Return text that cannot move the cursor or colour a terminal: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
