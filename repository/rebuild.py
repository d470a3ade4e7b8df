"""Make the index anew from what is stored (`rebuild-index`, `repair index`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from repository.crypto import unseal
from repository.errors import Damaged, RepositoryError
from repository.files import LOADERS, list_packs, pack_key
from repository.index import Index
from repository.index_rewrite import IndexRewrite, load_listed_index
from repository.indexfile import PackListing
from repository.locks import Lock
from repository.packfile import (
    HEADER_PROBE_BYTES,
    TRAILER_BYTES,
    PackedBlob,
    pack_size,
    parse_header,
    read_trailer,
)
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound, ObjectTruncated


@dataclass(slots=True)
class RebuildResult:
    """What the new index holds, and what it had to leave out.

    `packs_read` are those whose own header was asked; `packs_gone` stood in the index and are not stored.
    `unreadable`: packs whose header cannot be read, with the reason; the next prune deletes them.
    `index_damaged`: index files that could not be read, with the reason.
    """

    packs: int = 0
    packs_read: int = 0
    packs_gone: int = 0
    unreadable: list[str] = field(default_factory=list)
    index_damaged: list[str] = field(default_factory=list)


def rebuild_index(
    repo: Repository,
    lock: Lock,
    *,
    read_all_packs: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> RebuildResult:
    """Write an index of exactly the packs that are stored, under an exclusive lock that the caller holds.

    The header is read of packs that the index does not know, or knows with another size; with
    `read_all_packs` of all. The old index files, unreadable ones too, go once the new are seen to be
    stored. Raises LockLost, StorageError, Damaged, Cancelled from `progress`; the old ones are there then.
    """
    if not lock.exclusive:
        raise RepositoryError("rebuilding the index needs an exclusive lock, and this one is shared")
    result = RebuildResult()
    old = [file.id for file in repo.files.list("index")]
    index = Index() if read_all_packs else _load_readable(repo, result)
    stored = list_packs(repo.storage)
    known = {total.id for total in index.pack_totals() if stored.get(total.id) == total.size_bytes}
    result.packs_gone = sum(total.id not in stored for total in index.pack_totals())
    rewrite = IndexRewrite(repo, lock)
    for pack in known:
        rewrite.add(pack, index.blobs_in(pack))
    unknown = {pack: size for pack, size in stored.items() if pack not in known}
    for pack, blobs in _read_headers(repo, unknown, result, progress):
        rewrite.add(pack, blobs)
        result.packs_read += 1
    result.packs = len(known) + result.packs_read
    rewrite.finish(old, {}, "the old index files were kept; run this again")
    repo.load_index()
    return result


def read_pack_header(repo: Repository, pack: bytes, size_bytes: int) -> list[PackedBlob]:
    """Return what the header of a stored pack lists, with one or two small reads.

    Raises Damaged, also if the pack's size does not fit; ObjectNotFound; ObjectTruncated.
    """
    name, probe = pack_key(pack), min(size_bytes, HEADER_PROBE_BYTES)
    tail = repo.storage.get(name, size_bytes - probe, probe)
    length = read_trailer(tail, size_bytes) + TRAILER_BYTES
    if length > len(tail):
        tail = repo.storage.get(name, size_bytes - length, length)
    blobs = parse_header(unseal(repo.key, tail[-length:-TRAILER_BYTES]))
    if pack_size(blobs) != size_bytes:
        raise Damaged(f"its header describes {pack_size(blobs)} bytes, but the pack has {size_bytes}")
    return blobs


def _load_readable(repo: Repository, result: RebuildResult) -> Index:
    index = Index()
    for file in repo.files.list("index"):
        try:
            packs = load_listed_index(repo, file).packs
        except Damaged as error:
            result.index_damaged.append(str(error))
            continue
        for pack, blobs in packs:
            index.add_pack(pack, blobs)
    return index


def _read_headers(
    repo: Repository, packs: Mapping[bytes, int], result: RebuildResult, progress: ProgressCallback
) -> Iterator[PackListing]:
    def read(item: tuple[bytes, int]) -> list[PackedBlob] | str:
        try:
            return read_pack_header(repo, *item)
        except (Damaged, ObjectNotFound, ObjectTruncated) as error:
            return str(error)

    with ThreadPoolExecutor(LOADERS, "headers") as pool:
        for done, (pack, read_back) in enumerate(zip(packs, pool.map(read, packs.items()), strict=True), 1):
            progress(Progress("reading", done, len(packs)))
            if isinstance(read_back, str):
                result.unreadable.append(f"pack {pack.hex()}: {read_back}")
            else:
                yield pack, read_back
