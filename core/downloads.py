"""Streams out of a repository, under a shared lock that lives as long as the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.db import db
from core.lock_holders import Holder
from repository.locks import lock_repository
from repository.repository import Repository


class Download:
    """An iterator of bytes that holds a shared lock until it is exhausted, fails, or is closed.

    Its first piece is read at once: an error then is raised here, not in the middle of an answer.
    """

    def __init__(self, repo: Repository, make: Callable[[], Iterator[bytes]]) -> None:
        self._holder = Holder(db.engine)
        self._lock = lock_repository(repo, on_lock_id=self._holder.note)
        try:
            self._rest = make()
            self._first = next(self._rest, None)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        try:
            return next(self._rest) if first is None else first
        except BaseException:  # also at the ordinary end
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back; again is fine. A web server calls it when the client has gone."""
        self._lock.release()
        self._holder.drop()
