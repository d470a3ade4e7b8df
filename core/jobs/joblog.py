"""The log of a running job: taken from any thread, written in batches, never without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from sqlalchemy.orm import Session

from core.db import utc_now
from core.models import JobLog

# A tree of unreadable files would fill the database; the count goes on.
MAX_LINES = 10_000


class LogBook:
    """Lines not yet written, and how many there were. `write` is undone if its transaction fails."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        self._max_lines = max_lines
        self._lines: list[JobLog] = []
        self._taken = 0
        self._writing = 0
        self._dropped = 0
        self._mutex = threading.Lock()

    def __bool__(self) -> bool:
        """Tell whether lines wait to be written."""
        return bool(self._lines)

    def add(self, level: str, message: str, path: bytes | str = "") -> None:
        """Take one line; beyond the limit it is only counted."""
        raw = path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
        line = JobLog(at=utc_now(), level=level, message=storable(message), path=storable(raw))
        with self._mutex:
            if self._taken >= self._max_lines:
                self._dropped += 1
                return
            self._taken += 1
            self._lines.append(line)

    def write(self, session: Session, job_id: int, *, last: bool = False) -> None:
        """Add what was taken so far to the session; with `last`, say how many lines were left out."""
        with self._mutex:
            lines = list(self._lines)
            self._writing = len(lines)
        session.add_all(_copies(lines, job_id))
        if last and self._dropped:
            session.add(
                JobLog(job_id=job_id, level="warning", message=f"… and {self._dropped:,} more lines.")
            )

    def written(self) -> None:
        """Forget what the last `write` added, after its transaction was committed."""
        with self._mutex:
            del self._lines[: self._writing]
            self._writing = 0


def _copies(lines: list[JobLog], job_id: int) -> Iterator[JobLog]:
    # New rows each time: after a rollback a row object cannot simply be added again.
    for line in lines:
        yield JobLog(job_id=job_id, at=line.at, level=line.level, message=line.message, path=line.path)


def storable(text: str | bytes) -> str:
    """Return text that every database takes: what is no UTF-8, and zero characters, are replaced."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace").replace("\x00", "\ufffd")
