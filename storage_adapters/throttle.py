"""Keep a storage within a bandwidth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls

# Bytes a second at this moment; None for no limit. Asked before each call: limits may change with the hour.
Limit = Callable[[], float | None]

# Small objects never wait, though they count: a lock must be refreshed in time, whatever is on its way.
_SMALL = 64 * 1024


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


class _Account:
    """Time that is owed for bytes in one direction."""

    def __init__(self, limit: Limit, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._mutex = threading.Lock()
        self._free_at = 0.0

    def wait_for(self, size_bytes: int) -> None:
        """Wait until everything before is paid for, and owe for these bytes."""
        limit = self._limit()
        if not limit:
            return
        with self._mutex:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + size_bytes / limit
        if size_bytes > _SMALL and start > now:
            self._sleep(start - now)
