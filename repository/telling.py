"""Progress that ends the work it is told of, also work that waits for a slow storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from storage_adapters.base import StorageAdapter, stop_waiting


class Teller:
    """A progress callback. Once the one that it tells raises, nobody waits for bandwidth any longer."""

    def __init__(self, progress: ProgressCallback, *storages: StorageAdapter) -> None:
        self._progress = progress
        self._storages = storages
        self._last = Progress("opening")
        self._ended: BaseException | None = None

    def __call__(self, moment: Progress) -> None:
        self._last = moment
        try:
            self._progress(moment)
        except BaseException as error:
            self._ended = self._ended or error
            for storage in self._storages:
                stop_waiting(storage)
            raise

    def again(self) -> None:
        """Tell once more what was told last: it is still so, and the work may have to end."""
        self(self._last)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Raise what ended the work, in place of what came of the end: transfers that were given up."""
        try:
            yield
        except Exception as error:
            if self._ended is None or error is self._ended:
                raise
            raise self._ended from error


@contextmanager
def stopping(repo: Repository) -> Iterator[None]:
    """Drop in the end what was not stored, and wait for what is under way."""
    try:
        yield
    finally:
        repo.stop_writing()
