"""What the tests of the engine share: cheap repositories, a backup or restore in a line, the real restic."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repository.backup import BackupOptions, BackupResult, backup
from repository.entries import Problem
from repository.keyfile import KdfParams, make_key_file
from repository.locks import lock_repository
from repository.progress import ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from repository.snapshot import Snapshot
from sources.local import LocalSource
from sources.local_target import LocalTarget
from storage_adapters.base import ObjectInfo, StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.memory import MemoryAdapter

PASSWORD = "geheim"
CHEAP = KdfParams(n=1024, r=8, p=1)


def new_repo(storage: StorageAdapter | None = None) -> Repository:
    return Repository.init(storage or MemoryAdapter(), PASSWORD, kdf=CHEAP)


def new_local_repo(path: Path) -> Repository:
    create_root(str(path))
    return new_repo(LocalAdapter(str(path)))


def open_local(path: Path, password: str = PASSWORD) -> Repository:
    return Repository.open(LocalAdapter(str(path)), password)


def with_cheap_key(path: Path) -> Path:
    """Let a repository that restic made open at once: its own key costs a second each time."""
    key = make_key_file(
        open_local(path).key, PASSWORD, CHEAP, username="", hostname="", created="2020-01-01T00:00:00Z"
    )
    for dear in (path / "keys").iterdir():
        dear.unlink()
    (path / "keys" / hashlib.sha256(key).hexdigest()).write_bytes(key)
    return path


@dataclass
class Made:
    """A backup's result and the problems it reported."""

    result: BackupResult
    problems: list[Problem] = field(default_factory=list)


def make_backup(
    repo: Repository,
    *paths: Path | str,
    progress: ProgressCallback = ignore_progress,
    cwd: Path | None = None,
    **options: Any,
) -> Made:
    """Make a snapshot. Relative paths, below `cwd`, leave out the folders above, which others change."""
    problems: list[Problem] = []
    source = LocalSource([os.fsencode(path) for path in paths], cwd=cwd and os.fsencode(cwd))
    with lock_repository(repo) as lock:
        result = backup(repo, source, BackupOptions(**options), lock, progress, problems.append)
    return Made(result, problems)


def latest(repo: Repository) -> Snapshot:
    return repo.find_snapshot("latest")[1]


def restore_to(
    repo: Repository, target: Path, snapshot: Snapshot | None = None, **options: Any
) -> tuple[RestoreResult, list[Problem]]:
    problems: list[Problem] = []
    repo.load_index()
    result = restore(
        repo,
        snapshot or latest(repo),
        LocalTarget(str(target)),
        RestoreOptions(**options),
        ignore_progress,
        problems.append,
    )
    return result, problems


def differences(left: Path, right: Path) -> str:
    """Return what rsync would change to make `right` the same as `left`, metadata and all."""
    command = ["rsync", "-aHAXn", "--delete", "--checksum", "--modify-window=-1", "--itemize-changes"]
    done = subprocess.run([*command, f"{left}/", f"{right}/"], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "backslashreplace")


@dataclass
class Restic:
    """The real restic on one repository."""

    program: str
    repo: Path | str

    def run(
        self, *args: str | Path, check: bool = True, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program, "-r", str(self.repo), "--no-cache", *map(str, args)]
        return subprocess.run(
            command,
            env=self.env(**env),
            cwd=cwd,
            capture_output=True,
            text=True,
            check=check,
            errors="replace",
        )

    def env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "RESTIC_PASSWORD": PASSWORD,
            "TZ": "UTC",
            "HOME": "/nonexistent",
            **more,
        }

    def summary(self, *args: str | Path, cwd: Path | None = None, **env: str) -> dict[str, Any]:
        """Run with --json and return the last message."""
        out = self.run(*args, "--json", cwd=cwd, **env).stdout
        summary: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return summary

    def check(self, **env: str) -> None:
        done = self.run("check", "--read-data", check=False, **env)
        assert done.returncode == 0, done.stdout + done.stderr


class FaultyAdapter:
    """A storage on which the `k`-th write (put or delete) fails, and all after it if it `dies`."""

    def __init__(self, inner: StorageAdapter, k: int, *, dies: bool = True) -> None:
        self.inner = inner
        self.k = k
        self.dies = dies
        self.writes = 0

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self._count()
        self.inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return self.inner.get(key, offset, length)

    def stat(self, key: str) -> ObjectInfo:
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self._count()
        self.inner.delete(key)

    def close(self) -> None:
        self.inner.close()

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self.k or (self.dies and self.writes > self.k):
            raise StorageError(f"write {self.writes} fails")


def each_file(
    storage: MemoryAdapter, change: Callable[[bytes], bytes]
) -> Iterator[tuple[str, MemoryAdapter]]:
    """Yield, for each stored object, its key and a copy of the storage in which it alone is changed."""
    for key, data in storage.objects.items():
        copy = MemoryAdapter()
        copy.objects = {**storage.objects, key: change(data)}
        yield key, copy
