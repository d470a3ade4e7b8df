"""A listing of more objects than fit in one page: each exactly once, with its size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage_adapters.base import StorageAdapter
from storage_adapters.local import LocalAdapter
from storage_adapters.memory import MemoryAdapter
from storage_adapters.s3 import S3Adapter, S3Settings
from storage_adapters.sftp import SftpAdapter
from tests.servers import s3

COUNT = 10_000


def objects() -> dict[str, int]:
    """Return the keys of a repository with many packs, and their sizes."""
    names = [hashlib.sha256(bytes([n // 256, n % 256])).hexdigest() for n in range(COUNT)]
    return {f"data/{name[:2]}/{name}": n % 4 for n, name in enumerate(names)}


def write_files(root: Path) -> None:
    for number in range(256):
        (root / f"data/{number:02x}").mkdir(parents=True)
    for key, size in objects().items():
        (root / key).write_bytes(b"x" * size)


def in_memory(request: pytest.FixtureRequest, folder: Path) -> Iterator[StorageAdapter]:
    adapter = MemoryAdapter()
    adapter.objects = {key: b"x" * size for key, size in objects().items()}
    yield adapter


def on_disk(request: pytest.FixtureRequest, folder: Path) -> Iterator[StorageAdapter]:
    write_files(folder)
    yield LocalAdapter(str(folder))


def in_s3(request: pytest.FixtureRequest, folder: Path) -> Iterator[StorageAdapter]:
    """Serve files that are there already: far quicker than 10,000 uploads. A server of others gets those."""
    if s3.GIVEN:
        adapter = S3Adapter(request.getfixturevalue("s3_settings"))
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda item: adapter.put(item[0], b"x" * item[1]), objects().items()))
        yield adapter
        return
    write_files(folder / "served" / s3.BUCKET / "prefix")
    with s3.serving(folder / "served") as server:
        settings: S3Settings = server.below("prefix")
        yield S3Adapter(settings)


def over_sftp(request: pytest.FixtureRequest, folder: Path) -> Iterator[StorageAdapter]:
    write_files(folder)
    yield SftpAdapter(request.getfixturevalue("sshd").settings(folder))


MAKERS = {"memory": in_memory, "local": on_disk, "s3": in_s3, "sftp": over_sftp}


@pytest.fixture(params=MAKERS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageAdapter]:
    for adapter in MAKERS[request.param](request, tmp_path):
        yield adapter
        adapter.close()


def test_ten_thousand_objects_are_listed_each_once(storage: StorageAdapter) -> None:
    found = list(storage.list("data/"))
    assert len(found) == COUNT
    assert {each.key: each.size_bytes for each in found} == objects()
    wanted = {key for key in objects() if key.startswith("data/7f/")}
    assert {each.key for each in storage.list("data/7f/")} == wanted
