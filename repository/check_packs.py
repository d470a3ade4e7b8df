"""Read packs to the last byte and compare them with their name, their header and the index."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from repository.check_damage import Damage
from repository.check_index import PackFacts
from repository.errors import Damaged
from repository.files import pack_key
from repository.ids import hash_bytes
from repository.index import Location
from repository.packer import read_header
from repository.packfile import PackedBlob
from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound, ObjectTruncated

THREADS = 2  # packs in memory


@dataclass(slots=True)
class PackFindings:
    """What is wrong with one pack, in words, and which of its blobs are bad."""

    pack: bytes
    errors: list[str] = field(default_factory=list)
    bad: list[PackedBlob] = field(default_factory=list)


def read_packs(
    repo: Repository,
    packs: Mapping[bytes, int],
    facts: Mapping[bytes, PackFacts],
    damage: Damage,
    errors: list[str],
    progress: ProgressCallback,
) -> int:
    """Read these packs (id -> size); return how many were read."""
    total, done, bytes_done = sum(packs.values()), 0, 0
    for found in _in_threads(repo, packs, facts):
        errors += [f"pack {found.pack.hex()}: {error}" for error in found.errors]
        for blob in found.bad:
            damage.add_place(found.pack, blob)
        done += 1
        bytes_done += packs[found.pack]
        progress(Progress("checking", done, len(packs), bytes_done, total))
    return done


def _in_threads(
    repo: Repository, packs: Mapping[bytes, int], facts: Mapping[bytes, PackFacts]
) -> Iterator[PackFindings]:
    pool = ThreadPoolExecutor(THREADS, "check")
    running: deque[Future[PackFindings]] = deque()
    try:
        for pack in sorted(packs):
            running.append(pool.submit(read_pack, repo, pack, facts[pack].count))
            if len(running) > THREADS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_pack(repo: Repository, pack: bytes, count: int) -> PackFindings:
    """Read one pack, of which the index says that it holds `count` blobs."""
    found = PackFindings(pack)
    try:
        data = repo.storage.get(pack_key(pack))
    except (ObjectNotFound, ObjectTruncated) as error:
        found.errors.append(f"cannot be read: {error}")
        found.bad = repo.index.blobs_in(pack)
        return found
    if hash_bytes(data) != pack:
        found.errors.append("its content does not fit its name")
    try:
        blobs = read_header(repo.key, data)
    except Damaged as error:
        found.errors.append(f"its header cannot be read: {error}")
        blobs = repo.index.blobs_in(pack)
    else:
        _compare_with_index(repo, found, blobs, count)
    for blob in blobs:
        _check_blob(repo, found, data, blob)
    return found


def _compare_with_index(repo: Repository, found: PackFindings, blobs: list[PackedBlob], count: int) -> None:
    if len(blobs) != count:
        found.errors.append(f"its header lists {len(blobs)} blobs, the index {count}")
    for blob in blobs:
        place = Location(found.pack, blob.offset, blob.length, blob.uncompressed_length)
        if place not in repo.index.lookup(blob.type, blob.id):
            found.errors.append(
                f"the index does not say of the {blob.type} blob {blob.id.hex()} what its header says"
            )
            found.bad.append(blob)


def _check_blob(repo: Repository, found: PackFindings, data: bytes, blob: PackedBlob) -> None:
    sealed = memoryview(data)[blob.offset : blob.offset + blob.length]
    try:
        repo.open_blob(blob.id, sealed, Location(found.pack, *blob[2:]))
    except Damaged as error:
        found.errors.append(f"the {blob.type} blob {blob.id.hex()} is damaged: {error}")
        found.bad.append(blob)
