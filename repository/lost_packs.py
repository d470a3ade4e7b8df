"""Find packs that the index relies on and the storage has lost, and stop relying on them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from repository.files import list_packs
from repository.index import Index
from repository.listing_log import forget_listing, note_listed, was_listed
from repository.repository import Repository


@dataclass(frozen=True, slots=True)
class LostPack:
    """A pack whose content is stored nowhere else. `found_bytes`: its size now, None if it is missing."""

    id: bytes
    size_bytes: int
    found_bytes: int | None

    def __str__(self) -> str:
        found = "is missing" if self.found_bytes is None else f"has {self.found_bytes} bytes"
        return f"pack {self.id.hex()} of {self.size_bytes} bytes {found}"


def drop_lost_packs(repo: Repository, *, always: bool = False) -> list[LostPack]:
    """Take packs that are missing, or of another size than the index says, out of the loaded index.

    What was in them is stored anew by a backup that meets it again. Lists the storage's packs once; without
    `always`, not those of a large and far repository that all were there less than a day ago. Returns
    those that held something which is in no other pack. The index files are left as they are, for a repair.
    """
    if not always and was_listed(repo):
        return []
    began_ns = time.time_ns()
    stored = list_packs(repo.storage)  # after the index, so that it has all packs the index may name
    wrong = {
        total.id: total.size_bytes
        for total in repo.index.pack_totals()
        if stored.get(total.id) != total.size_bytes and (total.data_blobs or total.tree_blobs)
    }
    if not wrong:
        note_listed(repo, began_ns)
        return []
    forget_listing(repo)
    whole = repo.index
    repo.index = whole.without(wrong)
    return [
        LostPack(pack, size, stored.get(pack))
        for pack, size in wrong.items()
        if _holds_the_only_copy(whole, repo.index, pack)
    ]


def _holds_the_only_copy(whole: Index, kept: Index, pack: bytes) -> bool:
    return any(not kept.has(blob.type, blob.id) for blob in whole.blobs_in(pack))
