"""Check the index files, and that the packs they name are there with the right size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from repository.check_damage import Damage
from repository.errors import Damaged
from repository.files import list_packs
from repository.index import Index
from repository.indexfile import BlobColumns, IndexColumns, decode_columns
from repository.listing_log import forget_listing
from repository.packfile import COMPRESSED_ENTRY_BYTES, PLAIN_ENTRY_BYTES, header_size
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound

_EMPTY_BYTES = header_size(())


@dataclass(slots=True)
class PackFacts:
    """What the index says about one pack: how many blobs, the size that follows, in which index files."""

    count: int
    size_bytes: int
    listed_in: list[bytes] = field(default_factory=list)


def check_index(repo: Repository, errors: list[str], hints: list[str]) -> dict[bytes, PackFacts]:
    """Load every index file that can be read into `repo.index`; return what they say about each pack."""
    facts: dict[bytes, PackFacts] = {}
    index = Index()
    for file in repo.files.list("index"):
        try:
            listed = _load(repo, file.id)
        except ObjectNotFound:
            continue
        except Damaged as error:
            errors.append(str(error))
            continue
        index.files.add(file.id)
        for columns in listed:
            index.add_columns(columns)
            for pack in _packs(columns):
                _add_facts(facts, pack, file.id, errors)
    repo.stop_writing()
    repo.index = index
    for pack_id, known in facts.items():
        if len(known.listed_in) > 1:
            hints.append(f"pack {pack_id.hex()} stands in several index files: {_names(known)}")
    return facts


def check_packs(
    repo: Repository, facts: dict[bytes, PackFacts], damage: Damage, errors: list[str], hints: list[str]
) -> dict[bytes, int]:
    """Compare the packs stored with the index; return id -> size of those that are there and indexed."""
    stored = list_packs(repo.storage)
    for pack, known in facts.items():
        size = stored.get(pack)
        if size is None:
            forget_listing(repo)
            errors.append(f"pack {pack.hex()} is missing")
            for blob in repo.index.blobs_in(pack):
                damage.add_place(pack, blob)
        elif size != known.size_bytes:
            errors.append(f"pack {pack.hex()} has {size} bytes, but the index says {known.size_bytes}")
    for pack in stored.keys() - facts.keys():
        hints.append(
            f"pack {pack.hex()} is in no index file: left by an interrupted backup; prune removes it"
        )
    return {pack: size for pack, size in stored.items() if pack in facts}


@dataclass(slots=True)
class _Listed:
    """A pack as one index file lists it. `extents`: (offset, length) of its blobs."""

    id: bytes
    extents: list[tuple[int, int]]
    compressed: int

    @property
    def size_bytes(self) -> int:
        entries = self.compressed * COMPRESSED_ENTRY_BYTES
        entries += (len(self.extents) - self.compressed) * PLAIN_ENTRY_BYTES
        return sum(length for _, length in self.extents) + entries + _EMPTY_BYTES

    @property
    def is_contiguous(self) -> bool:
        ordered = sorted(self.extents)
        return (not ordered or ordered[0][0] == 0) and all(
            offset + length == following for (offset, length), (following, _) in pairwise(ordered)
        )


def _load(repo: Repository, file_id: bytes) -> list[IndexColumns]:
    """Return what a whole index file lists. Raises ObjectNotFound; Damaged, naming the file."""
    json = repo.files.load("index", file_id)
    try:
        return list(decode_columns(json))
    except Damaged as error:
        raise Damaged(f"the file index/{file_id.hex()} is damaged: {error}") from error


def _packs(columns: IndexColumns) -> Iterator[_Listed]:
    rows = [_rows(blobs) for blobs in columns.blobs.values()]
    for pack, *parts in zip(columns.packs, *rows, strict=True):
        extents = [extent for part, _ in parts for extent in part]
        yield _Listed(pack, extents, sum(compressed for _, compressed in parts))


def _rows(blobs: BlobColumns) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Yield for each pack the extents of its blobs of this type, and how many are compressed."""
    start = 0
    for count in blobs.counts:
        end = start + count
        extents = list(zip(blobs.offsets[start:end], blobs.lengths[start:end], strict=True))
        yield extents, count - blobs.plains[start:end].count(0)
        start = end


def _add_facts(facts: dict[bytes, PackFacts], pack: _Listed, file: bytes, errors: list[str]) -> None:
    known = facts.get(pack.id)
    size = pack.size_bytes
    if known is None:
        facts[pack.id] = PackFacts(len(pack.extents), size, [file])
        if not pack.is_contiguous:
            errors.append(
                f"the file index/{file.hex()} lists pack {pack.id.hex()} with gaps between its blobs"
            )
        return
    known.listed_in.append(file)
    if (known.count, known.size_bytes) != (len(pack.extents), size):
        errors.append(f"the index files {_names(known)} disagree about pack {pack.id.hex()}")


def _names(known: PackFacts) -> str:
    return ", ".join(file.hex() for file in known.listed_in)
