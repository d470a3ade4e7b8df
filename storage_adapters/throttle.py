"""Keep a storage within a bandwidth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls
from storage_adapters.errors import StorageError

# Bytes a second at this moment; None for no limit. Asked before each call, and again while one waits: limits
# change with the hour, and people change them. Must be cheap.
Limit = Callable[[], float | None]

# Small objects never wait, though they count: a lock must be refreshed in time, whatever is on its way.
_SMALL = 64 * 1024
_LOOK_AGAIN_S = 1.0
_NOTHING_S = 0.001  # what sums of small floats leave over


class ThrottledAdapter:
    """Hold back `put` and `get` so that, over a time, no more than the limits goes through `inner`.

    An object is sent at full speed; the wait for its bytes is before the next one.
    """

    def __init__(
        self,
        inner: StorageAdapter,
        upload: Limit,
        download: Limit,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.inner = inner
        self.parallel_calls = parallel_calls(inner)
        self._up = _Account(upload, clock, sleep)
        self._down = _Account(download, clock, sleep)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        self._up.wait_for(len(data))
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        if length is not None:
            self._down.wait_for(length)
            return self.inner.get(key, offset, length)
        data = self.inner.get(key, offset)
        self._down.wait_for(len(data))
        return data

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        self.inner.delete(key)

    def close(self) -> None:
        """See StorageAdapter."""
        self.inner.close()

    def stop_waiting(self) -> None:
        """See storage_adapters.base.stop_waiting."""
        self._up.given_up = self._down.given_up = True


class _Account:
    """Bytes of one direction: how many were asked for, and how many the limit has let through since."""

    def __init__(self, limit: Limit, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._mutex = threading.Lock()
        self._asked = self._paid = 0.0
        self._paid_at = clock()
        self.given_up = False

    def wait_for(self, size_bytes: int) -> None:
        """Wait until all before is paid for, and owe for these bytes. Raises StorageError once given up."""
        with self._mutex:
            self._left_s(0.0)  # time without work is not saved up
            before = self._asked
            self._asked += size_bytes
        if size_bytes <= _SMALL:
            return
        while True:
            with self._mutex:
                left_s = self._left_s(before)
            if left_s < _NOTHING_S:
                return
            if self.given_up:
                raise StorageError("a transfer was given up, because the work that wanted it was stopped")
            self._sleep(min(left_s, _LOOK_AGAIN_S))

    def _left_s(self, wanted: float) -> float:
        """Pay for the time that has passed; return how long it takes, as it is now, until so much is paid."""
        limit, now = self._limit(), self._clock()
        passed, self._paid_at = now - self._paid_at, now
        if not limit:
            self._paid = self._asked
            return 0.0
        self._paid = min(self._asked, self._paid + limit * passed)
        return (wanted - self._paid) / limit
