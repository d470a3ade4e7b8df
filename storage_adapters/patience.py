"""How long a storage is waited for, and a wrapper that keeps to it whatever a call is stuck in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls
from storage_adapters.errors import StorageUnreachable
from storage_adapters.retry import RetryPolicy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried; seconds to connect, without any answer, and for all calls together.

    None: as usual for the kind of storage; of `in_all_s`: without an end.
    """

    retries: RetryPolicy
    connect_s: float | None = None
    answer_s: float | None = None
    in_all_s: float | None = None


# Calls that did not come back in their time, by place: while one hangs, no further one is begun there. Each
# would hang as well, and a thread in a dead mount can be ended by nobody.
_stuck: dict[str, threading.Thread] = {}


class BoundedAdapter:
    """Give up on `inner` when `seconds` have passed since this was made, even if a call never returns.

    Each call runs in a thread of its own, which is left behind then. Raises StorageUnreachable. `place`
    names what is looked at.
    """

    def __init__(self, inner: StorageAdapter, seconds: float, place: str) -> None:
        self.inner = inner
        self.parallel_calls = parallel_calls(inner)
        self._seconds = seconds
        self._place = place
        self._until = time.monotonic() + seconds

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        self._within(lambda: self.inner.put(key, data))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        return self._within(lambda: self.inner.get(key, offset, length))

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        return self._within(lambda: self.inner.stat(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter. The listing is completed before its first result."""
        yield from self._within(lambda: list(self.inner.list(prefix)))

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        self._within(lambda: self.inner.delete(key))

    def close(self) -> None:
        """See StorageAdapter. Where a call hangs, its connections end with it."""
        if not self._hangs():
            self.inner.close()

    def _hangs(self) -> bool:
        thread = _stuck.get(self._place)
        if thread is not None and not thread.is_alive():
            del _stuck[self._place]
            return False
        return thread is not None

    def _within(self, call: Callable[[], T]) -> T:
        if self._hangs():
            raise StorageUnreachable("an earlier call to it has still not come back")
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001  (raised below, where somebody waits)
                errors.append(error)

        thread = threading.Thread(target=run, name="storage call", daemon=True)
        thread.start()
        thread.join(max(0.0, self._until - time.monotonic()))
        if thread.is_alive():
            _stuck[self._place] = thread
            raise StorageUnreachable(f"it did not answer within {self._seconds:.0f} seconds")
        if errors:
            raise errors[0]
        return results[0]
