"""Stopped, failing and lying storages: at every single write of each operation, nothing kept is ever lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from repository.errors import RepositoryError
from repository.packer import PACK_TARGET_BYTES
from repository.repository import Repository
from storage_adapters.errors import StorageError
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, Restic
from tests.repository.faults import MODES, FaultyStorage, Mode
from tests.repository.operations import (
    OPERATIONS,
    Operation,
    World,
    assert_goes_on,
    assert_nothing_lost,
    count_writes,
    password_of,
)


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
