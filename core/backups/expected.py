"""How much a backup will have to read: as much as last time, or counted beside it the first time."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import TracebackType

from repository.entries import Source, SourceUnavailable
from repository.progress import Progress
from sources.preview import Totals, measure


class Expected:
    """Add totals to the progress: those given, or what a thread counts in the source, once it is done.

    The source must be one that nobody else uses: listing keeps folders open; None is not counted.
    """

    def __init__(self, source: Source | None, last_time: Totals | None) -> None:
        self._source = source
        self._totals = last_time
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._count, name="expected", daemon=True)

    def __enter__(self) -> Expected:
        if self._totals is None and self._source is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def fill(self, progress: Progress) -> Progress:
        """Return the progress with totals; never less than what is done already."""
        totals = self._totals
        if totals is None:
            return progress
        files, size = max(totals.files, progress.files_done), max(totals.bytes, progress.bytes_done)
        return replace(progress, files_total=files, bytes_total=size)

    def _count(self) -> None:
        assert self._source is not None
        totals = Totals()
        try:
            for running in measure(self._source):
                totals = running
                if self._ended.is_set():
                    return
        except (OSError, SourceUnavailable):
            return  # the backup itself meets the same, and says so
        self._totals = totals
