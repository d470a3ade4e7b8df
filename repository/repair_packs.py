"""Save what is still whole in damaged packs (`repair packs`), and take these packs out of the index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from repository.errors import Damaged, RepositoryError
from repository.files import pack_key
from repository.index import Index, Location
from repository.index_rewrite import IndexRewrite
from repository.locks import Lock
from repository.packfile import BlobType, PackedBlob
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.writer import WriteOptions
from storage_adapters.errors import ObjectNotFound


@dataclass(slots=True)
class PackRepair:
    """How many blobs could be saved from the packs, and which are lost there (they may lie elsewhere)."""

    saved: int = 0
    lost: list[tuple[BlobType, bytes]] = field(default_factory=list)


def repair_packs(
    repo: Repository, packs: Sequence[bytes], lock: Lock, progress: ProgressCallback = ignore_progress
) -> PackRepair:
    """Store the whole blobs of these packs anew, under an exclusive lock that the caller holds.

    The packs stay, in no index any more, until the next prune deletes them. Raises RepositoryError for one
    that the index does not list, LockLost, StorageError, Damaged, and Cancelled from `progress`; every blob
    is where it was then, or in both places.
    """
    if not lock.exclusive:
        raise RepositoryError("repairing packs needs an exclusive lock, and this one is shared")
    repo.load_index()
    listed = {pack: repo.index.blobs_in(pack) for pack in dict.fromkeys(packs)}
    if unknown := [pack.hex() for pack, blobs in listed.items() if not blobs]:
        raise RepositoryError(f"the index lists no pack {', '.join(unknown)}; check names the damaged ones")
    repo.index = _without(repo.index, listed.keys())
    repo.start_writing(WriteOptions(compression=repo.compression, guard=lock.check, wait=lock.check))
    result = PackRepair()
    try:
        for done, (pack, blobs) in enumerate(listed.items(), 1):
            _save_whole(repo, pack, blobs, result)
            progress(Progress("repairing", done, len(listed)))
        repo.flush()
    finally:
        repo.stop_writing()
    rewrite = IndexRewrite(repo, lock)
    for pack, blobs in repo.index.blobs_by_pack():
        rewrite.add(pack, blobs)
    old = [file.id for file in repo.files.list("index")]
    rewrite.finish(old, {}, "the old index files were kept; run this again")
    repo.load_index()
    return result


def _without(index: Index, packs: Collection[bytes]) -> Index:
    """Return the index without these packs, so that what they hold counts as unknown."""
    rest = Index()
    for pack, blobs in index.blobs_by_pack():
        if pack not in packs:
            rest.add_pack(pack, blobs)
    return rest


def _save_whole(repo: Repository, pack: bytes, blobs: list[PackedBlob], result: PackRepair) -> None:
    data = _read(repo, pack)
    for blob in blobs:
        try:
            plain = repo.open_blob(
                blob.id, data[blob.offset : blob.offset + blob.length], Location(pack, *blob[2:])
            )
        except Damaged:
            result.lost.append((blob.type, blob.id))
            continue
        repo.save_blob(blob.type, plain)
        result.saved += 1


def _read(repo: Repository, pack: bytes) -> memoryview:
    """Return what can be read of a pack; empty if it is gone."""
    try:
        return memoryview(repo.storage.get(pack_key(pack)))
    except ObjectNotFound:
        return memoryview(b"")
