"""The only place that tries again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls
from storage_adapters.errors import StorageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` in all; waits double from `first_wait_s` up to `longest_wait_s`."""

    attempts: int = 6
    first_wait_s: float = 0.2
    longest_wait_s: float = 20.0

    def wait_s(self, failures: int) -> float:
        """Return the pause after that many failures: exponential, with up to half of it as jitter."""
        full = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (failures - 1))
        return full * (0.5 + random.random() / 2)  # noqa: S311  (jitter, not a secret)


class RetryingAdapter:
    """Repeat a call of `inner` while its error says that this can help; the last error is raised."""

    def __init__(
        self,
        inner: StorageAdapter,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.inner = inner
        self.parallel_calls = parallel_calls(inner)
        self.policy = policy or RetryPolicy()
        self._sleep = sleep

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        self._try(lambda: self.inner.put(key, data))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        return self._try(lambda: self.inner.get(key, offset, length))

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        return self._try(lambda: self.inner.stat(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter. The listing is completed before its first result: so it can be repeated."""
        yield from self._try(lambda: list(self.inner.list(prefix)))

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        self._try(lambda: self.inner.delete(key))

    def close(self) -> None:
        """See StorageAdapter."""
        self.inner.close()

    def _try(self, call: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return call()
            except StorageError as error:
                failures += 1
                if not error.retryable or failures >= self.policy.attempts:
                    raise
            self._sleep(self.policy.wait_s(failures))
