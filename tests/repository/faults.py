"""A storage that fails at one chosen write, in one of the ways that storages fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Literal, get_args

from storage_adapters.base import ObjectInfo
from storage_adapters.errors import StorageError, TransientStorageError
from storage_adapters.memory import MemoryAdapter

# stops: that call and every later one fails, as after kill -9. fails: once, nothing done. cuts: half of a put
# is kept, or a delete done, and the call fails. lies: half of a put is kept, or a delete not done, and all is
# said to be well. loses: as lies, but nothing of a put is kept.
Mode = Literal["stops", "fails", "cuts", "lies", "loses"]
MODES: tuple[Mode, ...] = get_args(Mode)


class FaultyStorage:
    """A view of `inner` that fails at the `k`-th put or delete; 0: never, only counts."""

    def __init__(self, inner: MemoryAdapter, mode: Mode, k: int) -> None:
        self.inner = inner
        self._mode = mode
        self._k = k
        self._mutex = threading.Lock()
        self.writes = 0

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        if not self._is_due():
            self.inner.put(key, data)
            return
        if self._mode in ("cuts", "lies"):
            self.inner.put(key, bytes(data)[: len(data) // 2])
        self._raise_unless_silent(key)

    def delete(self, key: str) -> None:
        if not self._is_due():
            self.inner.delete(key)
            return
        if self._mode == "cuts":
            self.inner.delete(key)
        self._raise_unless_silent(key)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._require_running()
        return self.inner.get(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        self._require_running()
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._require_running()
        return self.inner.list(prefix)

    def close(self) -> None:
        self.inner.close()

    def _is_due(self) -> bool:
        with self._mutex:
            self._require_running()
            self.writes += 1
            return self.writes == self._k

    def _raise_unless_silent(self, key: str) -> None:
        if self._mode not in ("lies", "loses"):
            raise TransientStorageError(f"the write number {self._k} fails: {key}")

    def _require_running(self) -> None:
        if self._mode == "stops" and self._k and self.writes >= self._k:
            raise StorageError("the storage has stopped")
