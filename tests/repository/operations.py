"""What is done to a repository with a history, and what must hold after a fault in the middle of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from repository.check import check
from repository.copy import copy
from repository.errors import WrongPassword
from repository.forget import forget
from repository.key_commands import change_password
from repository.locks import lock_repository
from repository.packer import Packer
from repository.prune import prune
from repository.prune_plan import PruneOptions, Unused
from repository.rebuild import rebuild_index
from repository.repository import Repository
from repository.tag import TagChange, tag
from storage_adapters.base import StorageAdapter
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import CHEAP, PASSWORD, make_backup, new_repo
from tests.repository.faults import FaultyStorage
from tests.repository.upkeep import Contents, contents, make_odd

LEFTOVERS = ("is in no index file: left by", "stands in several index files")
SMALL_PACK = 20_000


@contextmanager
def small_packs() -> Iterator[None]:
    """Let a small repository have many packs, and locks that wait for nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repository.locks.SETTLE_S", 0)
        patch.setattr(Packer.__init__, "__defaults__", (SMALL_PACK, None))
        patch.setattr("repository.prune_plan.PACK_TARGET_BYTES", SMALL_PACK)
        patch.setattr("repository.copy_plan._BATCH_BLOBS", 8)
        yield


@dataclass
class World:
    """A repository with a history, what its snapshots hold, and folders to back up."""

    storage: MemoryAdapter
    contents: dict[bytes, Contents]  # of the snapshots that must survive, by tree
    doomed: list[bytes]  # of the snapshots that forget removes
    folder: Path
    source: Repository  # to copy from

    def copy_of_storage(self) -> MemoryAdapter:
        twin = MemoryAdapter()
        twin.objects = dict(self.storage.objects)
        return twin


def write_files(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    (folder / "below").mkdir(parents=True, exist_ok=True)
    for number in range(6):
        (folder / "below" / f"{chance.randrange(9)}").write_bytes(chance.randbytes(3_000 * number + 1))
    (folder / f"{seed}").write_bytes(b"%d" % seed * 3_000)


def make_world(top: Path) -> World:
    storage = MemoryAdapter()
    repo, source = new_repo(storage), new_repo()
    made = []
    for seed in range(4):
        write_files(top / "source", seed)
        made.append(make_backup(repo, "source", cwd=top).result.snapshot_id)
    make_backup(source, "source", cwd=top)
    write_files(top / "source", 99)
    make_backup(source, "source", cwd=top)
    make_odd(repo, 3)
    kept = {each.tree: contents(repo, each) for each in map(repo.load_snapshot, [made[1], made[3]])}
    return World(storage, kept, [made[0], made[2]], top / "source", source)


Operation = Callable[[World, Repository], None]


def run_backup(world: World, repo: Repository) -> None:
    make_backup(repo, "source", cwd=world.folder.parent)


def run_forget(world: World, repo: Repository) -> None:
    with lock_repository(repo, exclusive=True) as lock:
        forget(repo, world.doomed, lock)


def run_prune(world: World, repo: Repository) -> None:
    for snapshot_id in world.doomed:
        repo.storage.inner.delete(f"snapshots/{snapshot_id.hex()}")  # type: ignore[attr-defined]
    with lock_repository(repo, exclusive=True) as lock:
        prune(repo, PruneOptions(max_unused=Unused(size_bytes=0)), lock)


def run_copy(world: World, repo: Repository) -> None:
    ids = [snapshot_id for snapshot_id, _ in world.source.list_snapshots()]
    with lock_repository(world.source) as source_lock, lock_repository(repo) as lock:
        copy(world.source, repo, ids, (source_lock, lock))


def run_tag(world: World, repo: Repository) -> None:
    with lock_repository(repo, exclusive=True) as lock:
        tag(repo, [each for each, _ in repo.list_snapshots()], TagChange(add=["new"]), lock)


def run_rebuild(world: World, repo: Repository) -> None:
    with lock_repository(repo, exclusive=True) as lock:
        rebuild_index(repo, lock, read_all_packs=True)


def run_passwd(world: World, repo: Repository) -> None:
    with lock_repository(repo, exclusive=True) as lock:
        change_password(repo, "new", lock, CHEAP)
        change_password(repo, PASSWORD, lock, CHEAP)


OPERATIONS: dict[str, Operation] = {
    "backup": run_backup,
    "forget": run_forget,
    "prune": run_prune,
    "copy": run_copy,
    "tag": run_tag,
    "rebuild": run_rebuild,
    "passwd": run_passwd,
}


def count_writes(world: World, operation: Operation) -> int:
    storage = FaultyStorage(world.copy_of_storage(), "stops", 0)
    operation(world, Repository.open(storage, PASSWORD))
    return storage.writes


def reopen(storage: StorageAdapter) -> Repository:
    """Open as somebody else does afterwards, who has removed the locks."""
    for found in list(storage.list("locks/")):
        storage.delete(found.key)
    return Repository.open(storage, password_of(storage))


def password_of(storage: StorageAdapter) -> str:
    """Return the password that opens it: a change of it may have been cut off between there and back."""
    try:
        Repository.open(storage, PASSWORD)
    except WrongPassword:
        return "new"
    return PASSWORD


def assert_nothing_lost(world: World, storage: MemoryAdapter) -> None:
    repo = reopen(storage)
    result = check(repo, read_data=True)
    assert result.errors == []
    assert [hint for hint in result.hints if not any(words in hint for words in LEFTOVERS)] == []
    there = {snapshot.tree: contents(repo, snapshot) for _, snapshot in repo.list_snapshots()}
    assert {tree: there.get(tree) for tree in world.contents} == world.contents


def assert_goes_on(world: World, operation: Operation, storage: MemoryAdapter) -> None:
    """The same once more, on a storage that is well again, succeeds and leaves no fault."""
    operation(world, reopen(FaultyStorage(storage, "stops", 0)))
    assert_nothing_lost(world, storage)
    if operation is run_prune:
        assert check(reopen(storage)).hints == []
