"""Read trees many at a time, from a storage where each read takes a way over a network."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict

from repository.cache import MetadataCache
from repository.files import pack_key
from repository.index import Location
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectTruncated

# The trees of a snapshot lie side by side. Who needs a few of a pack alone (a page that shows a folder) shall
# not wait for all of it; who needs more, needs most.
_SINGLE_READS = 4
_KEPT = 2
_MAX_BYTES = 32 * 1024 * 1024


class TreePacks:
    """Give the sealed bytes of trees; after a few reads of a pack all of it is fetched, and kept a while.

    A pack that is in the cache comes from there; one that is fetched goes there. Whoever takes a tree checks
    it against its id. Safe in several threads. Holds at most two packs in memory.
    """

    def __init__(self, storage: StorageAdapter, cache: MetadataCache | None) -> None:
        self._storage = storage
        self._cache = cache
        self._mutex = threading.Lock()
        self._reads: Counter[bytes] = Counter()
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, location: Location) -> bytes:
        """Return the bytes at that place. Raises ObjectNotFound, ObjectTruncated or another StorageError."""
        whole = self._whole(location.pack)
        end = location.offset + location.length
        if whole is None:
            return self._storage.get(pack_key(location.pack), location.offset, location.length)
        if end > len(whole):
            raise ObjectTruncated(f"it has {len(whole)} bytes, wanted up to {end}")
        return whole[location.offset : end]

    def holds(self, pack: bytes) -> bool:
        """Tell whether a pack is in memory."""
        return pack in self._kept

    def drop(self, pack: bytes) -> None:
        """Forget a pack that turned out to be altered."""
        with self._mutex:
            self._kept.pop(pack, None)
            if self._cache is not None:
                self._cache.drop("packs", pack)

    def _whole(self, pack: bytes) -> bytes | None:
        """Return the pack if it is here or worth fetching. Who needs the same one meanwhile waits for it."""
        with self._mutex:
            self._reads[pack] += 1
            if pack not in self._kept and (whole := self._find(pack)) is not None:
                self._keep(pack, whole)
            return self._kept.get(pack)

    def _find(self, pack: bytes) -> bytes | None:
        """Return the pack from the cache or, when its time has come, from the storage."""
        if self._reads[pack] == 1 and self._cache is not None:
            return self._cache.get("packs", pack)
        if self._reads[pack] != _SINGLE_READS + 1:
            return None
        name = pack_key(pack)
        if self._storage.stat(name).size_bytes > _MAX_BYTES:
            return None
        whole = self._storage.get(name)
        if self._cache is not None:
            self._cache.put("packs", pack, whole)
        return whole

    def _keep(self, pack: bytes, whole: bytes) -> None:
        self._kept[pack] = whole
        if len(self._kept) > _KEPT:
            dropped, _ = self._kept.popitem(last=False)
            self._reads[dropped] = 0
