"""Cancelled while a slow storage holds everything back, work ends at once, and says that it was cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository.errors import Cancelled
from repository.progress import Progress
from repository.telling import Teller
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import make_backup, new_repo
from tests.repository.test_copy import Stuck


def test_a_backup_that_waits_for_bandwidth_is_cancelled_at_once(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"something")
    repo = new_repo(storage := Stuck())

    def cancel(moment: Progress) -> None:
        if storage.asked.is_set():
            raise Cancelled("cancelled on request")

    with pytest.raises(Cancelled):
        make_backup(repo, tmp_path / "tree", progress=cancel)
    assert repo.list_snapshots() == []
    assert not [key for key in storage.objects if key.startswith("locks/")]


def test_what_goes_wrong_by_itself_is_told_as_it_is() -> None:
    told: list[Progress] = []
    teller = Teller(told.append, MemoryAdapter())
    teller(Progress("reading", 1))
    teller.again()
    assert told == [Progress("reading", 1)] * 2
    with pytest.raises(StorageError, match="broke"), teller.ending():
        raise StorageError("broke")
