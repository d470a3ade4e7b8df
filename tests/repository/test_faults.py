"""Stopped, failing and lying storages: at every single write of each operation, nothing kept is ever lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from repository.check import check
from repository.copy import copy
from repository.errors import RepositoryError, WrongPassword
from repository.forget import forget
from repository.key_commands import change_password
from repository.locks import lock_repository
from repository.packer import PACK_TARGET_BYTES, Packer
from repository.prune import prune
from repository.prune_plan import PruneOptions, Unused
from repository.rebuild import rebuild_index
from repository.repository import Repository
from repository.tag import TagChange, tag
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import CHEAP, PASSWORD, Restic, make_backup, new_repo
from tests.repository.faults import MODES, FaultyStorage, Mode
from tests.repository.upkeep import Contents, contents, make_odd

LEFTOVERS = ("is in no index file: left by", "stands in several index files")
SMALL_PACK = 20_000


@pytest.fixture(autouse=True, scope="module")
def small_packs_and_no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repository.locks.SETTLE_S", 0)
        patch.setattr(Packer.__init__, "__defaults__", (SMALL_PACK,))
        patch.setattr("repository.prune_plan.PACK_TARGET_BYTES", SMALL_PACK)
        patch.setattr("repository.copy._BATCH_BLOBS", 8)
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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    top = tmp_path_factory.mktemp("world")
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


def run_with_fault(world: World, operation: Operation, mode: Mode, k: int) -> tuple[MemoryAdapter, bool]:
    """Run with a fault at the k-th write; return what is stored then, and whether an error was raised."""
    inner = world.copy_of_storage()
    repo = Repository.open(FaultyStorage(inner, mode, k), PASSWORD)
    try:
        operation(world, repo)
    except (RepositoryError, StorageError):
        return inner, True
    finally:
        repo.stop_writing()
    return inner, False


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_lost_whichever_write_goes_wrong(world: World, name: str, mode: Mode) -> None:
    operation = OPERATIONS[name]
    writes = count_writes(world, operation)
    assert writes >= 4
    raised = 0
    for k in range(1, writes + 1):
        storage, failed = run_with_fault(world, operation, mode, k)
        raised += failed
        assert_nothing_lost(world, storage)
        assert_goes_on(world, operation, storage)
    # Only what is not needed for the result may go wrong in silence: locks and packs that nobody needs.
    assert raised > 0


def dump(storage: MemoryAdapter, path: Path) -> None:
    create_root(str(path))
    target = LocalAdapter(str(path))
    for key, data in storage.objects.items():
        target.put(key, data)
    for name in ("locks", "snapshots", "index", "keys", "data"):
        (path / name).mkdir(exist_ok=True)


def spread(seed: int, count: int) -> list[tuple[str, Mode, float]]:
    chance = random.Random(seed)
    kinds = [(name, mode) for name in ("backup", "prune", "copy", "forget") for mode in MODES]
    return [(*each, chance.random()) for each in chance.sample(kinds, count)]


@pytest.mark.parametrize(("name", "mode", "where"), spread(11, 10))
def test_restic_finds_no_fault_either(
    world: World, restic: str, tmp_path: Path, name: str, mode: Mode, where: float
) -> None:
    k = 1 + int(where * count_writes(world, OPERATIONS[name]))
    storage, _ = run_with_fault(world, OPERATIONS[name], mode, k)
    assert_restic_is_content(restic, storage, tmp_path / "repo")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_restic_finds_no_fault_at_any_write(
    world: World, restic: str, tmp_path: Path, name: str, mode: Mode
) -> None:
    for k in range(1, count_writes(world, OPERATIONS[name]) + 1):
        storage, _ = run_with_fault(world, OPERATIONS[name], mode, k)
        assert_restic_is_content(restic, storage, tmp_path / f"{k}")


def assert_restic_is_content(restic: str, storage: MemoryAdapter, path: Path) -> None:
    for key in [key for key in storage.objects if key.startswith("locks/")]:
        storage.delete(key)
    dump(storage, path)
    Restic(restic, path).check(RESTIC_PASSWORD=password_of(storage))


def test_the_packs_are_small_enough_to_be_many(world: World) -> None:
    packs = [key for key in world.storage.objects if key.startswith("data/")]
    assert len(packs) > 8
    assert max(len(world.storage.objects[key]) for key in packs) < PACK_TARGET_BYTES
