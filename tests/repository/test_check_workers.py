"""Checks with helper processes: they find what a check without them finds, and end with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from repository import check_packs
from repository.check import CheckResult, check
from repository.errors import Cancelled, WorkerFailed
from repository.files import list_packs, pack_key
from repository.progress import Progress
from repository.repository import Repository
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.children import children_of
from tests.repository.engine import PASSWORD, each_file, make_backup, new_repo
from tests.repository.test_check import CHANGES, copy, storage

__all__ = ["copy", "storage"]  # fixtures

_before: set[int] = set()  # what other tests have left running


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start helper processes for the first blob."""
    monkeypatch.setattr(check_packs, "START_BLOBS", 1)
    monkeypatch.setattr(check_packs, "MANY_BLOBS", 1)
    monkeypatch.setattr(check_packs, "affordable", lambda: 2)
    _before.clear()
    _before.update(_children())


def _children() -> list[int]:
    return [pid for pid in children_of() if pid not in _before]


def _check(storage: MemoryAdapter) -> CheckResult:
    return check(Repository.open(storage, PASSWORD), read_data=True)


@pytest.mark.parametrize("change", ["a bit in the middle", "a bit at the end", "cut off"])
def test_helpers_find_what_a_check_without_them_finds(
    storage: MemoryAdapter, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = [(key, each) for key, each in each_file(storage, CHANGES[change]) if key.startswith("data/")]
    helped = [_check(damaged) for _, damaged in packs]
    assert _children() == []
    monkeypatch.setattr(check_packs, "START_BLOBS", 10**9)
    monkeypatch.setattr(check_packs, "Child", None)
    assert helped == [_check(damaged) for _, damaged in packs]
    for result, (key, _) in zip(helped, packs, strict=True):
        assert any(error.startswith(f"pack {key[8:]}: ") for error in result.errors)


def test_a_whole_repository_is_clean(copy: MemoryAdapter) -> None:
    result = _check(copy)
    assert (result.errors, result.hints, result.packs_read) == ([], [], 4)
    assert [thread.name for thread in threading.enumerate() if thread.name == "check"] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_helper_is_no_clean_check(
    copy: MemoryAdapter, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = check_packs.Child

    def start_and_kill(module: str) -> check_packs.Child:
        child = start(module)
        os.kill(child._process.pid, number)
        return child

    monkeypatch.setattr(check_packs, "Child", start_and_kill)
    with pytest.raises(WorkerFailed, match=number.name):
        _check(copy)
    assert _children() == []


def test_cancelling_ends_the_helpers(copy: MemoryAdapter) -> None:
    def cancel(progress: Progress) -> None:
        if progress.files_total == 4:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        check(Repository.open(copy, PASSWORD), read_data=True, progress=cancel)
    assert _children() == []
    assert [thread.name for thread in threading.enumerate() if thread.name == "check"] == []


def test_a_process_that_cannot_be_started_is_said(
    copy: MemoryAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(WorkerFailed, match="could not be started: No such file"):
        _check(copy)


def test_an_error_nobody_thought_of_reaches_the_caller(copy: MemoryAdapter) -> None:
    repo = Repository.open(copy, PASSWORD)
    repo.key = "no key"  # type: ignore[assignment]
    pack = next(iter(list_packs(copy)))
    helper = check_packs._Helper(repo)
    try:
        with pytest.raises(WorkerFailed, match="failed: AttributeError"):
            helper.verify(pack)
    finally:
        helper.end()
        helper.close()


def test_a_pack_that_goes_missing_meanwhile_is_said_and_the_others_are_read(copy: MemoryAdapter) -> None:
    repo = Repository.open(copy, PASSWORD)
    repo.load_index()
    gone, *others = list_packs(copy)
    copy.delete(pack_key(gone))
    helper = check_packs._Helper(repo)
    try:
        assert "cannot be read" in check_packs.read_pack(repo, gone, 1, helper).errors[0]
        for pack in others:
            count = len(repo.index.blobs_in(pack))
            assert check_packs.read_pack(repo, pack, count, helper).errors == []
    finally:
        helper.end()
        helper.close()


def test_a_storage_that_is_gone_fails_the_check(tmp_path: Path) -> None:
    class Gone(MemoryAdapter):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            if length is None and key.startswith("data/"):
                raise StorageError("the storage is gone")
            return super().get(key, offset, length)

    (tmp_path / "f").write_bytes(b"f")
    gone = Gone()
    make_backup(new_repo(gone), tmp_path / "f")
    with pytest.raises(StorageError, match="is gone"):
        _check(gone)
    assert _children() == []
