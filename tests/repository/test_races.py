"""Several at work on one repository: what one does is met by another at each of its writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repository.check import check
from repository.errors import Damaged, Locked, LockLost, RepositoryError
from repository.locks import remove_lock
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, make_backup, restore_to
from tests.repository.faults import MetStorage, Passing
from tests.repository.operations import (
    OPERATIONS,
    World,
    assert_nothing_lost,
    count_writes,
    reopen,
    run_backup,
    run_prune,
)

Act = Callable[[Repository], None]


def run_met(world: World, name: str, k: int, act: Act) -> tuple[MemoryAdapter, list[BaseException]]:
    """Run an operation, at whose k-th write somebody acts; return what is stored then, and both's errors."""
    inner, errors = world.copy_of_storage(), list[BaseException]()

    def meet() -> None:
        try:
            act(Repository.open(Passing(inner), PASSWORD))
        except RepositoryError as error:
            errors.append(error)

    repo = Repository.open(MetStorage(inner, k, meet), PASSWORD)
    try:
        OPERATIONS[name](world, repo)
    except RepositoryError as error:
        errors.append(error)
    finally:
        repo.stop_writing()
    return inner, errors


@pytest.mark.parametrize(("name", "other"), [("backup", "prune"), ("copy", "prune"), ("prune", "backup")])
def test_who_comes_at_any_write_of_another_finds_it_locked(world: World, name: str, other: str) -> None:
    def act(repo: Repository) -> None:
        OPERATIONS[other](world, repo)

    writes = count_writes(world, OPERATIONS[name])
    for k in range(2, writes + 1):  # the first is the lock itself
        inner, errors = run_met(world, name, k, act)
        assert [type(error) for error in errors] == [Locked], k
        assert_nothing_lost(world, inner)


def test_who_comes_just_before_the_lock_is_not_in_the_way(world: World) -> None:
    inner, errors = run_met(world, "backup", 1, lambda repo: run_prune(world, repo))
    assert errors == []
    assert_nothing_lost(world, inner)


def test_a_backup_beside_a_backup_at_any_write(world: World) -> None:
    for k in range(1, count_writes(world, run_backup) + 1):
        inner, errors = run_met(world, "backup", k, lambda repo: run_backup(world, repo))
        assert errors == [], k
        assert_nothing_lost(world, inner)


def slept(act: Act) -> Act:
    """Act as somebody whose clock is ahead, or who came while the other slept: its lock is stale to them."""

    def take_over(repo: Repository) -> None:
        for file in repo.files.list("locks"):
            remove_lock(repo, file.id)
        act(repo)

    return take_over


@pytest.mark.parametrize("name", ["backup", "copy"])
def test_who_slept_while_its_lock_was_removed_makes_no_snapshot(world: World, name: str) -> None:
    """Its blobs may be gone meanwhile: it stops before the snapshot, or takes that away again."""
    before = world.storage.list("snapshots/")
    kept = {found.key for found in before} - {f"snapshots/{each.hex()}" for each in world.doomed}
    for k in range(2, count_writes(world, OPERATIONS[name])):
        inner, errors = run_met(world, name, k, slept(lambda repo: run_prune(world, repo)))
        assert len(errors) == 1, k
        assert isinstance(errors[0], LockLost | Damaged), k
        made = {found.key for found in inner.list("snapshots/")} - kept
        assert len(made) <= (name == "copy"), "the first of two may have been copied before"
        # An index file that was on its way names packs that the prune has deleted: nobody needs them.
        result = check(reopen(inner), read_data=True)
        assert [error for error in result.errors if "is missing" not in error] == []
        assert result.affected == []
        run_prune(world, reopen(Passing(inner)))
        assert_nothing_lost(world, inner)


def test_a_prune_that_slept_while_its_lock_was_removed_deletes_nothing_that_is_needed(
    world: World, tmp_path: Path
) -> None:
    """A backup, meanwhile, of just what the prune is about to delete: it stores none of it anew.

    If that comes while index files are being deleted, rebuild-index finds all of it again: no pack goes.
    """
    repo = Repository.open(world.copy_of_storage(), PASSWORD)
    restore_to(repo, tmp_path, repo.load_snapshot(world.doomed[0]))

    def back_up_old(repo: Repository) -> None:
        make_backup(repo, "source", cwd=tmp_path)

    stopped = 0
    for k in range(2, count_writes(world, run_prune)):
        inner, errors = run_met(world, "prune", k, slept(back_up_old))
        assert {type(error) for error in errors} <= {LockLost}, k
        stopped += len(errors)
        if check(reopen(inner)).errors:
            OPERATIONS["rebuild"](world, reopen(inner))
        assert_nothing_lost(world, inner)
    assert stopped >= 3
