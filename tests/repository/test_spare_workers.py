"""Workers that are started early are used, or ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from repository import crew
from repository.backup import BackupOptions, backup
from repository.locks import lock_repository
from repository.spare_workers import SpareWorkers
from sources.local import LocalSource
from tests.repository.engine import new_repo
from tests.repository.test_workers import children


def test_they_are_used_by_a_backup_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "START_FILES", 1)
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    before, repo = set(children()), new_repo()
    with SpareWorkers(2) as spares, lock_repository(repo) as lock:
        assert len(set(children()) - before) == 2
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")  # no other can be started
        source = LocalSource([str(tmp_path)])
        result = backup(repo, source, BackupOptions(workers=2), lock, spares=spares)
    assert result.files_new == 20
    assert set(children()) <= before


def test_those_that_nobody_needs_are_ended() -> None:
    before = set(children())
    with SpareWorkers(3):
        assert len(set(children()) - before) == 3
    assert set(children()) <= before


def test_where_none_can_be_started_it_is_told_only_when_one_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with SpareWorkers(1) as spares, pytest.raises(FileNotFoundError):
        spares.take()
