"""A part of a storage seen as a storage of its own."""

from __future__ import annotations

from collections.abc import Iterator

from storage_adapters.base import ObjectInfo, StorageAdapter, parallel_calls, validate_key, validate_prefix


class PrefixedAdapter:
    """Put `prefix` (ends in `/`) before every key of `inner`; closing it leaves `inner` open."""

    def __init__(self, inner: StorageAdapter, prefix: str) -> None:
        self.inner = inner
        self.parallel_calls = parallel_calls(inner)
        self.prefix = validate_prefix(prefix)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        self.inner.put(self.prefix + validate_key(key), data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        return self.inner.get(self.prefix + validate_key(key), offset, length)

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        return ObjectInfo(key, self.inner.stat(self.prefix + validate_key(key)).size_bytes)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        for found in self.inner.list(self.prefix + validate_prefix(prefix)):
            yield ObjectInfo(found.key.removeprefix(self.prefix), found.size_bytes)

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        self.inner.delete(self.prefix + validate_key(key))

    def close(self) -> None:
        """See StorageAdapter."""
