"""Check the index files, and that the packs they name are there with the right size."""

from __future__ import annotations

from dataclasses import dataclass, field

from repository.check_damage import Damage
from repository.errors import Damaged
from repository.files import list_packs
from repository.index import Index
from repository.packfile import PackedBlob, pack_size
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound


@dataclass(slots=True)
class PackFacts:
    """What the index says about one pack: how many blobs, the size that follows, in which index files."""

    count: int
    size_bytes: int
    listed_in: list[str] = field(default_factory=list)


def check_index(repo: Repository, errors: list[str], hints: list[str]) -> dict[bytes, PackFacts]:
    """Load every index file that can be read into `repo.index`; return what they say about each pack."""
    facts: dict[bytes, PackFacts] = {}
    index = Index()
    for file in repo.files.list("index"):
        try:
            packs = repo.load_index_file(file.id).packs
        except ObjectNotFound:
            continue
        except Damaged as error:
            errors.append(str(error))
            continue
        for pack, blobs in packs:
            index.add_pack(pack, blobs)
            _add_facts(facts, pack, blobs, file.id.hex(), errors)
    repo.stop_writing()
    repo.index = index
    for pack, known in facts.items():
        if len(known.listed_in) > 1:
            hints.append(f"pack {pack.hex()} stands in several index files: {', '.join(known.listed_in)}")
    return facts


def check_packs(
    repo: Repository, facts: dict[bytes, PackFacts], damage: Damage, errors: list[str], hints: list[str]
) -> dict[bytes, int]:
    """Compare the packs stored with the index; return id -> size of those that are there and indexed."""
    stored = list_packs(repo.storage)
    for pack, known in facts.items():
        size = stored.get(pack)
        if size is None:
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


def _add_facts(
    facts: dict[bytes, PackFacts], pack: bytes, blobs: list[PackedBlob], file: str, errors: list[str]
) -> None:
    known = facts.get(pack)
    size = pack_size(blobs)
    if known is None:
        facts[pack] = PackFacts(len(blobs), size, [file])
        if not _is_contiguous(blobs):
            errors.append(f"the file index/{file} lists pack {pack.hex()} with gaps between its blobs")
        return
    known.listed_in.append(file)
    if (known.count, known.size_bytes) != (len(blobs), size):
        errors.append(f"the index files {', '.join(known.listed_in)} disagree about pack {pack.hex()}")


def _is_contiguous(blobs: list[PackedBlob]) -> bool:
    end = 0
    for blob in sorted(blobs, key=lambda blob: blob.offset):
        if blob.offset != end:
            return False
        end += blob.length
    return True
