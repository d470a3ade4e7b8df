"""Forget: exactly the snapshots named, under an exclusive lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository.check import check
from repository.errors import LockLost, RepositoryError, SnapshotNotFound
from repository.forget import forget
from repository.locks import lock_repository
from repository.repository import Repository
from tests.repository.engine import make_backup, new_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    repo = new_repo()
    (tmp_path / "file").write_bytes(b"x")
    for _ in range(3):
        make_backup(repo, tmp_path / "file")
    return repo


def test_exactly_the_snapshots_named_are_removed(repo: Repository) -> None:
    first, second, third = [snapshot_id for snapshot_id, _ in repo.list_snapshots()]
    with lock_repository(repo, exclusive=True) as lock:
        result = forget(repo, [second, bytes(32)], lock)
    assert (result.removed, result.missing) == ([second], [bytes(32)])
    assert [snapshot_id for snapshot_id, _ in repo.list_snapshots()] == [first, third]
    with pytest.raises(SnapshotNotFound):
        repo.load_snapshot(second)
    assert check(repo, read_data=True).ok


def test_a_shared_lock_is_not_enough(repo: Repository) -> None:
    wanted = repo.list_snapshots()[0][0]
    with lock_repository(repo) as lock, pytest.raises(RepositoryError, match="exclusive"):
        forget(repo, [wanted], lock)
    assert len(repo.list_snapshots()) == 3


def test_a_lost_lock_removes_nothing(repo: Repository) -> None:
    wanted = repo.list_snapshots()[0][0]
    with lock_repository(repo, exclusive=True) as lock:
        repo.files.remove("locks", lock.id)
        with pytest.raises(LockLost):
            lock.refresh()
        with pytest.raises(LockLost):
            forget(repo, [wanted], lock)
    assert len(repo.list_snapshots()) == 3
