"""While a storage takes its time over the last packs: who is cancelled, or lost the lock, ends at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from repository.check import check
from repository.errors import Cancelled, LockLost
from repository.files import pack_key
from repository.forget import forget
from repository.locks import Lock, lock_repository
from repository.progress import Progress
from repository.prune import prune
from repository.prune_plan import PruneOptions, Unused
from repository.rebuild import rebuild_index
from repository.repair_packs import repair_packs
from repository.repair_snapshots import repair_snapshots
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, new_repo
from tests.repository.upkeep import back_up


class Slow(MemoryAdapter):
    """Once `slow` is set, takes no pack before `given_up` is."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = False
        self.asked, self.given_up = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        if self.slow and key.startswith("data/"):
            self.asked.set()
            assert self.given_up.wait(30), "whoever waits for this was not asked whether to go on"
        super().put(key, data)

    def end_if_asked(self, error: Exception) -> None:
        """Raise, for whoever waits while a pack is on its way; threads that upload are let be."""
        if self.asked.is_set() and threading.current_thread() is threading.main_thread():
            self.given_up.set()
            raise error


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


@pytest.fixture
def storage() -> Slow:
    return Slow()


@pytest.fixture
def repo(storage: Slow, tmp_path: Path) -> Repository:
    """Return one with a snapshot that needs half of a pack."""
    made, folder = new_repo(storage), tmp_path / "source"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_bytes(os.urandom(20_000))
    first = back_up(made, folder)
    (folder / "b").unlink()
    back_up(made, folder)
    with lock_repository(made, exclusive=True) as lock:
        forget(made, [first], lock)
    made.load_index()
    return made


def pack_of_data(repo: Repository) -> bytes:
    (pack,) = {each.id for each in repo.index.pack_totals() if each.data_blobs}
    return pack


def test_a_prune_is_cancelled(repo: Repository, storage: Slow) -> None:
    def cancel(moment: Progress) -> None:
        storage.end_if_asked(Cancelled("cancelled on request"))

    storage.slow = True
    with lock_repository(repo, exclusive=True) as lock, pytest.raises(Cancelled):
        prune(repo, PruneOptions(max_unused=Unused(size_bytes=0)), lock, cancel)
    storage.slow = False
    assert storage.asked.is_set()
    assert check(Repository.open(storage, PASSWORD), read_data=True).errors == []


def end_when_lost(lock: Lock, storage: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lock be lost once a pack is on its way."""
    real = lock.check

    def check_lock() -> None:
        real()
        storage.end_if_asked(LockLost("somebody removed it"))

    monkeypatch.setattr(lock, "check", check_lock)


def test_a_repair_of_packs_ends_when_its_lock_is_lost(
    repo: Repository, storage: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.slow = True
    with lock_repository(repo, exclusive=True) as lock, monkeypatch.context() as fault:
        end_when_lost(lock, storage, fault)
        with pytest.raises(LockLost):
            repair_packs(repo, [pack_of_data(repo)], lock)
    assert check(Repository.open(storage, PASSWORD), read_data=True).errors == []


def test_a_repair_of_snapshots_ends_when_its_lock_is_lost(
    repo: Repository, storage: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.delete(pack_key(pack_of_data(repo)))
    ((snapshot_id, _),) = repo.list_snapshots()
    storage.slow = True
    with lock_repository(repo, exclusive=True) as lock, monkeypatch.context() as fault:
        rebuild_index(repo, lock)
        end_when_lost(lock, storage, fault)
        with pytest.raises(LockLost):
            repair_snapshots(repo, [snapshot_id], lock)
    assert [found for found, _ in repo.list_snapshots()] == [snapshot_id]
