"""Storages that fail at one chosen write, are slow, list late, or are met by somebody else in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
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


class Passing:
    """A view of `inner` that changes nothing, for others to change something."""

    def __init__(self, inner: MemoryAdapter) -> None:
        self.inner = inner

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self.inner.put(key, data)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.inner.get(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def close(self) -> None:
        self.inner.close()


class MetStorage(Passing):
    """Calls `meet` just before the `k`-th put or delete, in the thread that does it; the others go on."""

    def __init__(self, inner: MemoryAdapter, k: int, meet: Callable[[], None]) -> None:
        super().__init__(inner)
        self._k, self._meet, self._mutex = k, meet, threading.Lock()
        self.writes = 0

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self._count()
        super().put(key, data)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)

    def _count(self) -> None:
        with self._mutex:
            self.writes += 1
            due = self.writes == self._k
        if due:
            self._meet()


def delayed(inner: MemoryAdapter, k: int, delay_s: float) -> tuple[MetStorage, MemoryAdapter]:
    """Return a storage whose `k`-th write takes long, and one that will hold what is stored at its end."""
    meanwhile = MemoryAdapter()

    def wait() -> None:
        time.sleep(delay_s)
        meanwhile.objects = dict(inner.objects)

    return MetStorage(inner, k, wait), meanwhile


class LateListing(Passing):
    """Lists what was there `behind` writes ago; get and stat tell the truth, as on S3 before 2020."""

    def __init__(self, inner: MemoryAdapter, behind: int) -> None:
        super().__init__(inner)
        self._past = [self._now()]
        self._behind = behind

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        super().put(key, data)
        self._past.append(self._now())

    def delete(self, key: str) -> None:
        super().delete(key)
        self._past.append(self._now())

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        then = self._past[max(0, len(self._past) - 1 - self._behind)]
        return iter([ObjectInfo(key, size) for key, size in then.items() if key.startswith(prefix)])

    def _now(self) -> dict[str, int]:
        return {key: len(data) for key, data in self.inner.objects.copy().items()}
