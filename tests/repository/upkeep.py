"""What the tests of prune, copy and the like share: odd repositories, and what a snapshot holds."""

from __future__ import annotations

import random
from pathlib import Path

from repository.crypto import seal
from repository.files import pack_key
from repository.ids import hash_bytes
from repository.index import Index
from repository.indexfile import encode_index
from repository.lookup import read_file, walk
from repository.packfile import BlobType, PackedBlob, encode_header, encode_trailer
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node
from repository.writer import BlobWriter, WriteOptions
from tests.repository.engine import make_backup

Contents = dict[bytes, object]


def contents(repo: Repository, snapshot: Snapshot) -> Contents:
    """Return what a snapshot holds, by path."""
    repo.load_index()
    root = Node(b"", "dir", subtree=snapshot.tree)
    return {
        path: (node.mode, node.mtime, b"".join(read_file(repo, node)) if node.type == "file" else b"")
        for path, node in walk(repo, root)
    }


def fill(folder: Path, seed: int, files: int = 12) -> None:
    """Write files that are random, compressible, or both kinds of large."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        size = chance.choice([10, 3_000, 40_000, 700_000])
        text = b"%d again and " % chance.getrandbits(60) * (size // 8)
        (folder / f"{seed}-{number}").write_bytes(chance.choice([text, chance.randbytes(size)]))


def back_up(repo: Repository, folder: Path) -> bytes:
    return make_backup(repo, folder.name, cwd=folder.parent).result.snapshot_id


def store_pack(repo: Repository, blobs: list[tuple[BlobType, bytes]], *, indexed: bool) -> bytes:
    """Store blobs again in a pack of their own, mixed as they come, not compressed where they were not."""
    data, parts = b"", list[PackedBlob]()
    for kind, blob_id in blobs:
        place = repo.index.lookup(kind, blob_id)[0]
        sealed = repo.storage.get(pack_key(place.pack), place.offset, place.length)
        parts.append(PackedBlob(kind, blob_id, len(data), place.length, place.uncompressed_length))
        data += sealed
    header = seal(repo.key, encode_header(parts))
    data += header + encode_trailer(header)
    pack_id = hash_bytes(data)
    repo.storage.put(pack_key(pack_id), data)
    if indexed:
        repo.files.save("index", encode_index({pack_id: parts}))
    return pack_id


def every_blob(repo: Repository) -> list[tuple[BlobType, bytes]]:
    repo.load_index()
    return sorted((kind, blob) for kind, blob, _ in repo.index.places())


def make_odd(repo: Repository, seed: int) -> None:
    """Add duplicates, mixed and unindexed packs, a pack listed twice, blobs that nobody needs."""
    chance = random.Random(seed)
    blobs = every_blob(repo)
    store_pack(repo, chance.sample(blobs, len(blobs) // 2), indexed=True)
    store_pack(repo, chance.sample(blobs, len(blobs) // 3), indexed=True)
    store_pack(repo, [each for each in blobs if each[0] == "data"][:3], indexed=True)
    store_pack(repo, chance.sample(blobs, 2), indexed=False)
    (first, *_) = repo.files.list("index")
    repo.files.save("index", encode_index(dict(repo.load_index_file(first.id).packs)))
    writer = BlobWriter(repo.files, repo.key, Index(), WriteOptions(compression="off"))
    for number in range(5):
        writer.save("data", b"%d nobody's" % number * 500)
    writer.flush()
    writer.stop()
