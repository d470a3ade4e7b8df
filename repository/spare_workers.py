"""Worker processes that are started before it is known whether they are needed."""

from __future__ import annotations

import logging
from types import TracebackType

from repository.child import Child

logger = logging.getLogger(__name__)


class SpareWorkers:
    """Some workers that get ready, while the caller waits for the key and the lock. A context manager.

    At its end, those that nobody took are ended.
    """

    def __init__(self, count: int) -> None:
        self._children: list[Child] = []
        try:
            while len(self._children) < count:
                self._children.append(_start())
        except OSError as error:
            logger.debug("no worker is started before it is needed: %s", error)  # `take` tries again

    def __enter__(self) -> SpareWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.end()
        for child in self._children:
            child.wait()
            child.pipe.close()
        self._children = []

    @property
    def ready(self) -> bool:
        """Tell whether any is left."""
        return bool(self._children)

    def take(self) -> Child:
        """Return a worker, which the caller ends; a new one if none is left. Raises OSError."""
        return self._children.pop() if self._children else _start()


NO_SPARES = SpareWorkers(0)


def _start() -> Child:
    return Child("repository.worker")
