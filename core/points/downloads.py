"""Streams out of a repository, under a shared lock that lives as long as the stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from core.db import db
from core.jobs.lock_holders import Holder
from core.restores.restore_source import UNREADABLE
from repository.errors import Damaged
from repository.locks import Lock, lock_repository
from repository.repository import Repository

# Opens a copy and says how to read the stream from it; needs the app's context.
Begin = Callable[[], tuple[Repository, Callable[[], Iterator[bytes]]]]

_log = logging.getLogger(__name__)


class Download:
    """An iterator of bytes that holds a shared lock until it is exhausted, fails, or is closed.

    Its first piece is read at once: an error then is raised here, not in the middle of an answer. If the
    storage fails later, it goes on from the next of `others`, which give the same bytes; what was given
    already is read again there and left out.
    """

    def __init__(
        self, repo: Repository, make: Callable[[], Iterator[bytes]], others: Iterator[Begin]
    ) -> None:
        self._others = others
        self._given = 0
        self._holder = Holder(db.engine)
        self._lock: Lock | None = None
        self._begin(repo, make)
        try:
            self._first = next(self._rest, None)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        try:
            piece = self._next() if first is None else first
        except BaseException:  # also at the ordinary end
            self.close()
            raise
        self._given += len(piece)
        return piece

    def close(self) -> None:
        """Give the lock back; again is fine. A web server calls it when the client has gone."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        self._holder.drop()

    def _begin(self, repo: Repository, make: Callable[[], Iterator[bytes]]) -> None:
        self._lock = lock_repository(repo, on_lock_id=self._holder.note)
        try:
            self._rest = make()
        except BaseException:
            self.close()
            raise

    def _next(self) -> bytes:
        try:
            return next(self._rest)
        except UNREADABLE as error:
            _log.warning("a download broke off after %d bytes: %s", self._given, error)
            return self._go_on(error)

    def _go_on(self, error: Exception) -> bytes:
        """Return the next piece from the first other copy that gives it; raise `error` if none does."""
        for begin in self._others:
            self.close()
            try:
                self._begin(*begin())
                return self._skip()
            except UNREADABLE as another:
                _log.warning("nor could another copy be read: %s", another)
        raise error

    def _skip(self) -> bytes:
        """Read until what was given before is passed; return the rest of that piece.

        Raises StopIteration if just that was all, Damaged if this copy has less.
        """
        left = self._given
        for piece in self._rest:
            if len(piece) > left:
                return piece[left:]
            left -= len(piece)
        if left:
            raise Damaged(f"another copy ends {left} bytes before what was given already")
        raise StopIteration
