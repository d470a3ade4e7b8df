"""How much of each pack is in use, and which copy of a blob counts. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from repository.errors import BlobNotFound, Damaged
from repository.index import Index
from repository.packfile import BlobType, PackedBlob, header_size
from repository.used import BLOB_TYPES, BlobSet

_NAMED = 10

Key = tuple[BlobType, bytes]


@dataclass(slots=True)
class PackUse:
    """What is used in one pack. `size_bytes` is of the whole file, as the index implies it."""

    size_bytes: int
    kind: Literal["data", "tree", "mixed"]
    uncompressed: bool
    used_blobs: int = 0
    used_bytes: int = 0
    unused_blobs: int = 0
    unused_bytes: int = 0
    only_duplicates: bool = True

    def count(self, length: int, *, used: bool) -> None:
        """Count a blob of this stored length."""
        if used:
            self.used_blobs += 1
            self.used_bytes += length
        else:
            self.unused_blobs += 1
            self.unused_bytes += length

    def turn_used(self, length: int) -> None:
        """Count a blob as used that was counted as unused."""
        self.unused_blobs -= 1
        self.unused_bytes -= length
        self.count(length, used=True)


class Census:
    """Count what is used in each pack that is stored."""

    def __init__(self, index: Index, used: BlobSet, stored: Mapping[bytes, int]) -> None:
        self._index = index
        self._used = used
        self._stored = stored
        self._copies: dict[Key, int] = {}  # of used blobs with several places: how many were not looked at
        self._wrong: list[str] = []
        self.packs: dict[bytes, PackUse] = {}
        self.missing: set[bytes] = set()
        self.duplicate_blobs = 0

    def count_pack(self, pack: bytes, blobs: Sequence[PackedBlob]) -> None:
        """Count the blobs of a pack, all that any index file lists in it."""
        if pack not in self._stored:
            self.missing.add(pack)
            self._require_elsewhere(pack, blobs)
            return
        size = sum(blob.length for blob in blobs) + header_size(blobs)
        use = self.packs[pack] = PackUse(
            size, _kind(blobs), any(b.uncompressed_length is None for b in blobs)
        )
        needed = False
        for blob in blobs:
            needed |= self._count_blob(use, blob)
        if needed and self._stored[pack] != size:
            self._wrong.append(f"pack {pack.hex()} has {self._stored[pack]} bytes, but the index says {size}")

    def require_whole(self) -> None:
        """Raise Damaged if something that is needed is not as it should be."""
        if self._wrong:
            more = f" and {len(self._wrong) - _NAMED} more" if len(self._wrong) > _NAMED else ""
            raise Damaged(
                f"{'; '.join(self._wrong[:_NAMED])}{more}. Nothing was deleted. "
                "Run rebuild-index, then check, to learn which snapshots are hit"
            )

    def settle_duplicates(self) -> None:
        """Let exactly one copy of each used blob count as used.

        Best in a pack that is needed anyway; or in one of nothing but copies, which an interrupted prune has
        left; else the last.
        """
        if not self._copies:
            return
        for pack, blobs in self._index.blobs_by_pack():
            use = self.packs.get(pack)
            if use is not None:
                for blob in blobs:
                    self._settle(use, blob)

    def _count_blob(self, use: PackUse, blob: PackedBlob) -> bool:
        """Count a blob; tell whether it is used."""
        if not self._used.has(blob.type, blob.id):
            use.only_duplicates = False
            use.count(blob.length, used=False)
            return False
        copies = self._count_copies(blob)
        if copies == 1:
            use.only_duplicates = False
        else:
            self._copies[blob.type, blob.id] = copies
            self.duplicate_blobs += 1
        use.count(blob.length, used=copies == 1)
        return True

    def _count_copies(self, blob: PackedBlob) -> int:
        places = self._index.lookup(blob.type, blob.id)
        if len(places) == 1:
            return 1
        return sum(place.pack in self._stored for place in places)

    def _settle(self, use: PackUse, blob: PackedBlob) -> None:
        key = (blob.type, blob.id)
        left = self._copies.get(key)
        if left is None:
            return
        if use.used_blobs or use.only_duplicates or left == 1:
            use.turn_used(blob.length)
            del self._copies[key]
        else:
            self._copies[key] = left - 1

    def _require_elsewhere(self, pack: bytes, blobs: Iterable[PackedBlob]) -> None:
        for blob in blobs:
            if self._used.has(blob.type, blob.id) and not self._count_stored(blob):
                self._wrong.append(f"pack {pack.hex()} is missing and needed")
                return

    def _count_stored(self, blob: PackedBlob) -> int:
        return sum(place.pack in self._stored for place in self._index.lookup(blob.type, blob.id))


def require_indexed(index: Index, used: BlobSet) -> None:
    """Raise BlobNotFound if a used blob is in no index file."""
    lost = [
        f"{kind} {each.hex()}" for kind in BLOB_TYPES for each in used.ids(kind) if not index.has(kind, each)
    ]
    if lost:
        raise BlobNotFound(
            f"{len(lost)} blobs that snapshots need are in no index file: {', '.join(lost[:_NAMED])}. "
            "Nothing was deleted. Run rebuild-index, which finds packs that no index lists; then check"
        )


def _kind(blobs: Sequence[PackedBlob]) -> Literal["data", "tree", "mixed"]:
    kinds = {blob.type for blob in blobs}
    return kinds.pop() if len(kinds) == 1 else "mixed"
