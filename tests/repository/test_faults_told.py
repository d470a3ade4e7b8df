"""Storages that say the wrong thing, late or slowly: what is said to be done is done, and nothing is lost."""

from __future__ import annotations

from contextlib import suppress

import pytest

from repository.errors import RepositoryError
from repository.repository import Repository
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD
from tests.repository.faults import FaultyStorage, LateListing, Mode, delayed
from tests.repository.operations import (
    OPERATIONS,
    World,
    assert_goes_on,
    assert_nothing_lost,
    count_writes,
    reopen,
    run_backup,
    run_copy,
    run_forget,
)
from tests.repository.upkeep import Contents, contents

WRITERS = ("backup", "forget", "prune", "copy")


def held(storage: MemoryAdapter) -> dict[bytes, Contents]:
    """Return what each snapshot holds, by tree."""
    repo = reopen(storage)
    return {snapshot.tree: contents(repo, snapshot) for _, snapshot in repo.list_snapshots()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_takes_long_is_waited_for_by_all_that_rely_on_it(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    for k in range(1, count_writes(world, operation) + 1):
        inner = world.copy_of_storage()
        storage, meanwhile = delayed(inner, k, 0.02)
        operation(world, Repository.open(storage, PASSWORD))
        assert_nothing_lost(world, meanwhile)
        assert_nothing_lost(world, inner)


@pytest.mark.parametrize("mode", ["lies", "loses"])
@pytest.mark.parametrize("name", ["backup", "copy"])
def test_what_is_said_to_be_done_is_stored_though_a_put_lied(world: World, name: str, mode: Mode) -> None:
    operation = {"backup": run_backup, "copy": run_copy}[name]
    good = world.copy_of_storage()
    operation(world, reopen(good))
    wanted = held(good)
    silent = 0
    for k in range(1, count_writes(world, operation) + 1):
        inner = world.copy_of_storage()
        try:
            operation(world, Repository.open(FaultyStorage(inner, mode, k), PASSWORD))
        except (RepositoryError, StorageError):
            continue
        silent += 1
        assert held(inner) == wanted, k
    assert silent >= 1, "a lock may be lost in silence: it was not needed"


@pytest.mark.parametrize("behind", [1, 2, 5, 1_000_000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_storage_that_lists_late_loses_nothing(world: World, name: str, behind: int) -> None:
    """What this very run wrote and deleted is listed later. Whether it ends well or not, nothing is lost."""
    inner = world.copy_of_storage()
    repo = Repository.open(LateListing(inner, behind), PASSWORD)
    with suppress(RepositoryError, StorageError):
        OPERATIONS[name](world, repo)
    repo.stop_writing()
    assert_nothing_lost(world, inner)
    assert_goes_on(world, OPERATIONS[name], inner)


def test_a_snapshot_that_is_listed_still_but_gone_stops_a_prune(world: World) -> None:
    inner = world.copy_of_storage()
    late = LateListing(inner, 1_000_000)
    run_forget(world, Repository.open(late, PASSWORD))
    repo = Repository.open(late, PASSWORD)
    with pytest.raises(RepositoryError, match="Nothing was deleted"):
        OPERATIONS["prune"](world, repo)
    assert_nothing_lost(world, inner)
