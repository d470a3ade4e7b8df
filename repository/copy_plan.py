"""What a copy has to carry: the blobs that its snapshots need and the destination lacks, found beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from repository.errors import SourceSpoilt
from repository.idtable import IdTable
from repository.index import Location
from repository.packfile import BlobType
from repository.repository import Repository
from repository.transfer import Wanted
from repository.tree import Node
from repository.used import BLOB_TYPES, walk_trees

# After so much the index is saved: a copy that is cut off goes on from there.
_BATCH_BYTES = 256 * 1024 * 1024
_BATCH_BLOBS = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """What one snapshot adds to what those before it need: rows of the plan's tables."""

    data: range
    tree: range


class CopyPlan:
    """The blobs to carry, each once, in the order to store them; about 40 bytes a blob.

    Both indexes are loaded. `bytes_total` is as the source holds them, sealed.
    """

    def __init__(self, source: Repository, destination: Repository) -> None:
        self._source = source
        self._destination = destination
        self._wanted: dict[BlobType, IdTable] = {"data": IdTable(), "tree": IdTable()}
        self._seen = IdTable()  # trees, whether the destination has them or not
        self.bytes_total = 0
        self.trees = 0

    def add(self, root: bytes, tell: Callable[[], None]) -> Part:
        """Walk a tree; return what is lacking of it. `tell` is called for each tree, and may raise.

        Raises Damaged or BlobNotFound for a tree that cannot be read, SourceSpoilt for a blob that no index
        names.
        """
        start = {kind: self._wanted[kind].end for kind in BLOB_TYPES}
        for tree, nodes in walk_trees(self._source, [root], self._is_new):
            self.trees += 1
            self._want("tree", tree)
            for blob in _contents(nodes):
                self._want("data", blob)
            tell()
        data, trees = (range(start[kind], self._wanted[kind].end) for kind in BLOB_TYPES)
        return Part(data, trees)

    def batches(self, part: Part) -> Iterator[list[Wanted]]:
        """Yield what a part holds, in pieces that are stored one after the other."""
        rows: tuple[tuple[BlobType, range], ...] = (("data", part.data), ("tree", part.tree))
        batch, size = _empty(), 0
        for kind, numbers in rows:
            for row in numbers:
                blob = self._wanted[kind].id_of(row)
                place = self._place(kind, blob)
                batch[kind][blob] = place
                size += place.length
                if size >= _BATCH_BYTES or sum(map(len, batch.values())) >= _BATCH_BLOBS:
                    yield list(batch.items())
                    batch, size = _empty(), 0
        yield list(batch.items())

    def _is_new(self, tree: bytes) -> bool:
        if self._seen.find(tree):
            return False
        self._seen.append(tree)
        return True

    def _want(self, kind: BlobType, blob: bytes) -> None:
        if self._wanted[kind].find(blob) or self._destination.index.has(kind, blob):
            return
        self.bytes_total += self._place(kind, blob).length
        self._wanted[kind].append(blob)

    def _place(self, kind: BlobType, blob: bytes) -> Location:
        places = self._source.index.lookup(kind, blob)
        if not places:
            raise SourceSpoilt(
                f"the {kind} blob {blob.hex()} is in no index file of the source, so the snapshot "
                "cannot be copied; run check there"
            )
        return places[0]


def _empty() -> dict[BlobType, dict[bytes, Location]]:
    return {"data": {}, "tree": {}}


def _contents(nodes: Sequence[Node]) -> Iterator[bytes]:
    for node in nodes:
        yield from node.content or ()
