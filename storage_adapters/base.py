"""The contract of a storage. Its docstrings are the specification; tests/storage_adapters holds the suite."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from storage_adapters.errors import InvalidKey

# Names with this mark are unfinished writes (ours, or restic's): never a key, never listed.
TEMPORARY_MARK = "-tmp-"

# How many calls at once pay off on a disk.
_CALLS_ON_DISK = 2

_SEGMENT = re.compile(r"[A-Za-z0-9._-]+\Z")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A stored object: its key and its size in bytes."""

    key: str
    size_bytes: int


class StorageAdapter(Protocol):
    """Keep whole objects under flat, opaque keys.

    A key is 1-1024 characters: segments of `[A-Za-z0-9._-]` joined by single `/`, none of them
    `.` or `..` or with `-tmp-` inside.
    Every method may raise a `StorageError`; an adapter never retries by itself (see `retry`).
    All methods may be called from several threads at once.
    """

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store `data` under `key`, durably and whole, or not at all; an existing object is replaced.

        When it returns, the object survives a power cut. When it raises, a reader sees the old object
        or none, never a part.
        """

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset` (to the end if None).

        Raises ObjectNotFound; ObjectTruncated if the object ends before `offset + length`.
        """

    def stat(self, key: str) -> ObjectInfo:
        """Return key and size. Raises ObjectNotFound."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose key starts with `prefix` ("" for all, else ending in `/`), in any order.

        Leftovers of unfinished writes and names that are no valid keys are not listed. A prefix
        with nothing under it yields nothing; a storage that is not there raises StorageUnavailable.
        """

    def delete(self, key: str) -> None:
        """Remove the object durably. A key that does not exist is done, not an error."""

    def close(self) -> None:
        """Release connections. Further calls are undefined; closing twice is fine."""


def parallel_calls(storage: StorageAdapter) -> int:
    """Return how many calls at once pay off, as its `parallel_calls` says; else as many as on a disk."""
    return int(getattr(storage, "parallel_calls", _CALLS_ON_DISK))


def is_far(storage: StorageAdapter) -> bool:
    """Tell whether each call takes a way over a network, so that few large ones are better than many."""
    return parallel_calls(storage) > _CALLS_ON_DISK


def stop_waiting(storage: StorageAdapter) -> None:
    """Let whoever waits for bandwidth, now or later, get a StorageError at once: their work has ended.

    What never waits, such as the removal of a lock, goes on working.
    """
    layer: object = storage
    while layer is not None:
        if hasattr(layer, "stop_waiting"):
            layer.stop_waiting()
        layer = getattr(layer, "inner", None)


def validate_key(key: str) -> str:
    """Return `key`, or raise InvalidKey if it is not of the form that StorageAdapter allows."""
    if not is_valid_key(key):
        raise InvalidKey(f"not a storage key: {key!r}")
    return key


def is_valid_key(key: str) -> bool:
    """Tell whether `key` is of the form that StorageAdapter allows; what is listed and is not, is foreign."""
    return 1 <= len(key) <= 1024 and all(map(_valid_segment, key.split("/")))


def validate_prefix(prefix: str) -> str:
    """Return `prefix`, or raise InvalidKey unless it is empty or a key followed by `/`."""
    if prefix and not (prefix.endswith("/") and validate_key(prefix[:-1])):
        raise InvalidKey(f"not a storage prefix: {prefix!r}")
    return prefix


def _valid_segment(segment: str) -> bool:
    if segment in (".", "..") or TEMPORARY_MARK in segment:
        return False
    return _SEGMENT.match(segment) is not None
