"""Objects in a dict: the twin that tests run on, and the contract at its plainest."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from storage_adapters.base import ObjectInfo, validate_key, validate_prefix
from storage_adapters.errors import ObjectNotFound, ObjectTruncated


class MemoryAdapter:
    """A StorageAdapter that lives as long as its process."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        with self._lock:
            self.objects[validate_key(key)] = bytes(data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        data = self._find(key)
        end = len(data) if length is None else offset + length
        if end > len(data) or offset > len(data):
            raise ObjectTruncated(f"{key} has {len(data)} bytes, wanted up to {max(end, offset)}")
        return data[offset:end]

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        return ObjectInfo(key, len(self._find(key)))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        validate_prefix(prefix)
        with self._lock:
            found = [
                ObjectInfo(key, len(data)) for key, data in self.objects.items() if key.startswith(prefix)
            ]
        yield from found

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        with self._lock:
            self.objects.pop(validate_key(key), None)

    def close(self) -> None:
        """See StorageAdapter."""

    def _find(self, key: str) -> bytes:
        with self._lock:
            data = self.objects.get(validate_key(key))
        if data is None:
            raise ObjectNotFound(key)
        return data
