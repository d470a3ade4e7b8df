"""A disk that is full or fails, at each system call of a write; and one whose source cannot be read."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from repository.backup import BackupOptions, backup
from repository.check import check
from repository.entries import OpenFile, Problem
from repository.errors import RepositoryError
from repository.locks import lock_repository
from repository.repository import Repository
from sources.local import LocalSource
from storage_adapters import local
from storage_adapters.errors import StorageError, StorageFull
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, make_backup, new_repo
from tests.repository.faults import Passing
from tests.repository.operations import OPERATIONS, World, assert_goes_on, assert_nothing_lost, run_prune

CALLS = ("open", "write", "fsync", "rename", "unlink")
SAID = {errno.ENOSPC: "no space left", errno.EIO: "Input/output error"}


def write_out(storage: MemoryAdapter, path: Path) -> Path:
    create_root(str(path))
    for key, data in storage.objects.items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return path


def read_in(path: Path) -> MemoryAdapter:
    storage, disk = MemoryAdapter(), LocalAdapter(str(path))
    storage.objects = {found.key: disk.get(found.key) for found in disk.list("")}
    return storage


class FailingOs:
    """The module `os`, of which the `k`-th call that changes a disk fails; 0: none does, they are counted."""

    def __init__(self, k: int, number: int) -> None:
        self._k, self._number, self.calls = k, number, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._failing(real) if name in CALLS else real

    def _failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self._k:
                raise OSError(self._number, os.strerror(self._number))
            return None if real is os.fsync else real(*arguments, **more)  # no crash here: no need to wait

        return call


@contextmanager
def failing(k: int, number: int) -> Iterator[FailingOs]:
    with pytest.MonkeyPatch.context() as patch:
        disk = FailingOs(k, number)
        patch.setattr(local, "os", disk)
        yield disk


def run_on_disk(world: World, name: str, path: Path) -> None:
    repo = Repository.open(Passing(LocalAdapter(str(path))), PASSWORD)
    try:
        OPERATIONS[name](world, repo)
    finally:
        repo.stop_writing()


@pytest.mark.parametrize("number", SAID, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["backup", "prune"])
def test_nothing_is_lost_whichever_call_of_a_write_fails(
    world: World, tmp_path: Path, name: str, number: int
) -> None:
    with failing(0, number) as disk:
        run_on_disk(world, name, write_out(world.storage, tmp_path / "whole"))
    assert disk.calls > 20
    told = 0
    tried = range(1 + (number == errno.EIO), disk.calls + 1, 2)  # every call fails in one way or the other
    for k in tried:
        path = write_out(world.storage, tmp_path / f"{k}")
        try:
            with failing(k, number):
                run_on_disk(world, name, path)
        except (RepositoryError, StorageError) as error:
            told += SAID[number] in str(error)
        storage = read_in(path)
        assert_nothing_lost(world, storage)
        assert_goes_on(world, OPERATIONS[name], storage)
        shutil.rmtree(path)
    assert told >= 5, "who has to make room is told"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_prune_on_a_full_disk_loses_nothing_and_goes_on_once_there_is_room(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path], check=True)
    try:
        write_out(world.storage, path)
        room = os.statvfs(path).f_bavail * os.statvfs(path).f_bsize
        (path / "filler").write_bytes(bytes(room - 8192))
        with pytest.raises(StorageFull, match="no space left"):
            run_on_disk(world, "prune", path)
        (path / "filler").unlink()
        storage = read_in(path)
        assert_nothing_lost(world, storage)
        assert_goes_on(world, run_prune, storage)
    finally:
        subprocess.run(["umount", path], check=True)


class BadSector(LocalSource):
    """A source whose file `bad` gives its first 600,000 bytes, and then an error of the disk."""

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
        for opened in super().open_files(paths):
            if not isinstance(opened, Problem) and opened.path.endswith(b"/bad"):
                opened.readinto = self._bad(opened.readinto)  # type: ignore[method-assign, union-attr]
            yield opened

    @staticmethod
    def _bad(readinto: Callable[[memoryview], int]) -> Callable[[memoryview], int]:
        left = 600_000

        def read(buffer: memoryview) -> int:
            nonlocal left
            if not left:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            got = readinto(buffer[:left])
            left -= got
            return got

        return read


def test_a_file_on_a_bad_sector_is_told_and_the_rest_is_stored(tmp_path: Path) -> None:
    repo, tree = new_repo(), tmp_path / "tree"
    tree.mkdir()
    (tree / "bad").write_bytes(os.urandom(2_000_000))
    (tree / "good").write_bytes(b"good")
    problems: list[Problem] = []
    with lock_repository(repo) as lock:
        source = BadSector(["tree"], cwd=os.fsencode(tmp_path))
        result = backup(repo, source, BackupOptions(workers=0), lock, report=problems.append)
    (problem,) = problems
    assert (problem.path, problem.kind) == (b"/tree/bad", "unreadable")
    assert "Input/output error" in problem.message
    assert result.problems_lost == 1
    assert check(repo, read_data=True).errors == []
    assert make_backup(repo, "tree", cwd=tmp_path).problems == []
