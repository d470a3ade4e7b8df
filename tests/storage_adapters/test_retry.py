"""Retries: only what can help is repeated, never for ever, and the last error is the one that is raised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage_adapters.base import ObjectInfo
from storage_adapters.errors import PermissionDenied, StorageError, TransientStorageError
from storage_adapters.memory import MemoryAdapter
from storage_adapters.retry import RetryingAdapter, RetryPolicy


class Faulty(MemoryAdapter):
    """Fail the first `failures` calls with `error`; a listing fails after its first result."""

    def __init__(self, failures: int, error: StorageError) -> None:
        super().__init__()
        self.failures, self.error, self.calls = failures, error, 0

    def _fail(self) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self._fail()
        return super().get(key, offset, length)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self._fail()
        super().put(key, data)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        for found in super().list(prefix):
            yield found
            self._fail()


def retrying(inner: Faulty, waits: list[float]) -> RetryingAdapter:
    return RetryingAdapter(
        inner, RetryPolicy(attempts=4, first_wait_s=1, longest_wait_s=3), sleep=waits.append
    )


def test_a_passing_fault_is_overcome() -> None:
    inner = Faulty(3, TransientStorageError("busy"))
    waits: list[float] = []
    retrying(inner, waits).put("object", b"x")
    assert inner.objects == {"object": b"x"}
    assert inner.calls == 4
    assert [0.5 <= waits[0] <= 1, 1 <= waits[1] <= 2, 1.5 <= waits[2] <= 3] == [True] * 3


def test_a_lasting_fault_ends_with_its_own_error() -> None:
    inner = Faulty(99, TransientStorageError("busy"))
    with pytest.raises(TransientStorageError, match="busy"):
        retrying(inner, []).put("object", b"x")
    assert inner.calls == 4


def test_what_cannot_be_helped_is_not_repeated() -> None:
    inner = Faulty(99, PermissionDenied("no"))
    with pytest.raises(PermissionDenied):
        retrying(inner, []).get("object")
    assert inner.calls == 1


def test_a_listing_that_breaks_in_the_middle_gives_each_object_once() -> None:
    inner = Faulty(1, TransientStorageError("cut"))
    inner.objects = {"a": b"1", "b": b"2"}
    assert sorted(found.key for found in retrying(inner, []).list("")) == ["a", "b"]
