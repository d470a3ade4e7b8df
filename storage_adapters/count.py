"""Count what goes to and from a storage."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls


class CountingAdapter:
    """Count the calls of `inner` by name in `calls`, and the bytes of objects sent and received."""

    def __init__(self, inner: StorageAdapter) -> None:
        self.inner = inner
        self.parallel_calls = parallel_calls(inner)
        self.calls: Counter[str] = Counter()
        self.bytes_sent = 0
        self.bytes_received = 0
        self._mutex = threading.Lock()

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        self._count("put", sent=len(data))
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        data = self.inner.get(key, offset, length)
        self._count("get", received=len(data))
        return data

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        self._count("stat")
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        self._count("list")
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        self._count("delete")
        self.inner.delete(key)

    def close(self) -> None:
        """See StorageAdapter."""
        self.inner.close()

    def _count(self, call: str, sent: int = 0, received: int = 0) -> None:
        with self._mutex:
            self.calls[call] += 1
            self.bytes_sent += sent
            self.bytes_received += received
