"""Reading ahead: blobs come in order, and runs of zeros are not read again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from repository import prefetch
from repository.errors import BlobNotFound
from repository.ids import hash_bytes
from repository.prefetch import ZEROS_BYTES, Prefetch
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import new_repo


class Counting(MemoryAdapter):
    """Remembers how many reads of packs there were."""

    reads = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        self.reads += key.startswith("data/")
        return super().get(key, offset, length)


@pytest.fixture
def storage() -> Counting:
    return Counting()


@pytest.fixture
def repo(storage: Counting, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setattr(prefetch, "BATCH_ITEMS", 4)
    return new_repo(storage)


def save(repo: Repository, *contents: bytes) -> list[bytes]:
    ids = [repo.save_blob("data", content).id for content in contents]
    repo.flush()
    repo.load_index()
    return ids


def fetch(repo: Repository, blobs: list[bytes]) -> Iterator[bytes]:
    stream = Prefetch(repo, iter([("all", blobs)]))
    try:
        assert next(stream) == "all"
        yield from stream.blobs(len(blobs))
    finally:
        stream.close()


def test_a_blob_of_zeros_is_read_a_few_times_however_often_it_comes(
    repo: Repository, storage: Counting
) -> None:
    zeros = bytes(ZEROS_BYTES)
    (blob,) = save(repo, zeros)
    storage.reads = 0
    assert all(content == zeros for content in fetch(repo, [blob] * 400))
    assert storage.reads <= prefetch.BATCHES + 1


def test_what_only_looks_like_zeros_is_read_each_time(repo: Repository, storage: Counting) -> None:
    nearly = bytes(ZEROS_BYTES // 2) + b"x" + bytes(ZEROS_BYTES // 2)
    short = bytes(100)
    random = b"\0" + os.urandom(ZEROS_BYTES) + b"\0"
    blobs = save(repo, nearly, short, random)
    storage.reads = 0
    assert list(fetch(repo, blobs * 40)) == [nearly, short, random] * 40
    assert storage.reads >= 30


def test_a_blob_that_no_index_knows_is_said(repo: Repository) -> None:
    blobs = save(repo, b"content")
    with pytest.raises(BlobNotFound):
        list(fetch(repo, [*blobs, hash_bytes(b"other")]))
