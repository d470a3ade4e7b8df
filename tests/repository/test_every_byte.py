"""Each byte of a small repository, changed alone: a full check finds it, and names the file that it is in."""

from __future__ import annotations

import os
import time

import pytest

from repository.check import check
from repository.errors import RepositoryError
from repository.gotext import UTC_ZONE, format_time
from repository.lockfile import LockInfo
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, make_backup, new_repo

KINDS = ("config", "data", "index", "keys", "locks", "snapshots")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> MemoryAdapter:
    """A repository of one file in one folder, with a lock of somebody."""
    top = tmp_path_factory.mktemp("small")
    (top / "tree").mkdir()
    (top / "tree" / "file").write_bytes(b"all there is")
    storage = MemoryAdapter()
    repo = new_repo(storage)
    make_backup(repo, "tree", cwd=top)
    now = format_time(time.time_ns(), UTC_ZONE)
    repo.files.save("locks", LockInfo(now, False, "elsewhere", "anna", os.getpid()).encode())
    return storage


def complaints(storage: MemoryAdapter) -> list[str]:
    """Return what opening and a full check say is wrong."""
    try:
        return check(Repository.open(storage, PASSWORD), read_data=True).errors
    except RepositoryError as error:
        return [str(error)]


def assert_each_is_named(small: MemoryAdapter, kind: str, *, bits: range) -> None:
    keys = [key for key in small.objects if key.split("/")[0] == kind]
    assert keys
    assert complaints(small) == []
    for key in keys:
        name, data = key.rpartition("/")[2], small.objects[key]
        for place in range(len(data)):
            for bit in bits:
                copy = MemoryAdapter()
                changed = data[:place] + bytes([data[place] ^ 1 << (place + bit) % 8]) + data[place + 1 :]
                copy.objects = {**small.objects, key: changed}
                assert any(name in said for said in complaints(copy)), (key, place, bit, complaints(copy))


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_is_found_and_its_file_named(small: MemoryAdapter, kind: str) -> None:
    """One bit of each byte; all eight in the slow one."""
    assert_each_is_named(small, kind, bits=range(1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_bit_is_found_and_its_file_named(small: MemoryAdapter, kind: str) -> None:
    assert_each_is_named(small, kind, bits=range(8))


def test_every_file_of_a_repository_is_of_a_kind_that_is_tested(small: MemoryAdapter) -> None:
    assert {key.split("/")[0] for key in small.objects} == set(KINDS)
