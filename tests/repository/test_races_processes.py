"""Real processes, ours and restic, on one repository at a time; one that sleeps; one whose clock is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from repository.check import check
from repository.gotext import UTC_ZONE, format_time
from repository.lockfile import LockInfo
from repository.locks import list_locks, lock_repository, remove_stale_locks
from repository.repository import Repository
from tests.repository import driven
from tests.repository.engine import Restic, differences, new_local_repo, open_local, restore_to
from tests.repository.upkeep import back_up, fill, make_odd

HOUR_NS = 3600 * 10**9
LOCKED = 11  # exit code of our command line
SOURCES = ("one", "two", "three")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder with a repository that has much to prune, and three folders to back up."""
    repo = new_local_repo(tmp_path / "repo")
    for seed, name in enumerate(SOURCES):
        fill(tmp_path / name, seed, files=5)
    back_up(repo, tmp_path / "one")
    make_odd(repo, 3)
    return tmp_path


def ours(top: Path, *arguments: str) -> subprocess.Popen[str]:
    return driven.start(top, *arguments)


def theirs(top: Path, restic: str, *arguments: str) -> subprocess.Popen[str]:
    command = [restic, "-r", str(top / "repo"), "--no-cache", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=top, env=Restic(restic, top).env(), stdout=pipe, stderr=pipe, text=True
    )


def assert_done_or_locked(process: subprocess.Popen[str]) -> bool:
    """Wait for its end; tell whether it did its work, and not because the repository was locked."""
    out, errors = process.communicate(timeout=150)
    locked = process.returncode == LOCKED or "already locked" in errors
    assert process.returncode == 0 or locked, (process.args, out, errors)
    return not locked


def assert_all_is_whole(top: Path, restic: str) -> None:
    repo = open_local(top / "repo")
    assert list(repo.storage.list("locks/")) == []
    assert check(repo, read_data=True).errors == []
    Restic(restic, top / "repo").check()
    for number, (_, snapshot) in enumerate(repo.list_snapshots()):
        name, out = Path(snapshot.paths[0]).name, top / f"out{number}"
        restore_to(repo, out, snapshot)
        (found,) = out.rglob(name)
        assert differences(top / name, found) == ""


def test_two_backups_and_a_prune_at_once(top: Path, restic: str) -> None:
    """Ours and restic's, all started together, and again those that found the repository locked."""
    prune = ("prune", "--max-unused", "0")
    pending = [partial(ours, top, *words) for words in (("backup", "one"), ("backup", "two"), prune)]
    pending += [partial(theirs, top, restic, *words) for words in (("backup", "three"), prune)]
    for _ in range(5):
        running = [start() for start in pending]
        done = [assert_done_or_locked(each) for each in running]
        pending = [start for start, ended in zip(pending, done, strict=True) if not ended]
        make_odd(open_local(top / "repo"), 4)
    assert all(assert_done_or_locked(start()) for start in pending), "nobody else is there any more"
    assert_all_is_whole(top, restic)
    assert assert_done_or_locked(ours(top, *prune))
    assert_all_is_whole(top, restic)


@pytest.mark.parametrize("k", [4, 8])  # of about fifteen moments; the first three take the lock
def test_a_backup_that_slept_while_its_lock_was_removed_makes_no_snapshot(
    top: Path, restic: str, k: int
) -> None:
    """SIGSTOP in the middle; restic removes its lock and prunes; then it goes on, and must not save."""
    before, real = open_local(top / "repo").list_snapshots(), Restic(restic, top / "repo")
    process = driven.start(top, "backup", "two", k=k, number=signal.SIGSTOP)
    driven.wait_until_stopped(process)
    real.run("unlock", "--remove-all")
    real.run("prune", "--max-unused", "0")
    said = driven.resume(process)
    assert process.returncode not in (0, None)
    assert "lock" in said or "does not have them" in said
    assert open_local(top / "repo").list_snapshots() == before
    assert_all_is_whole(top, restic)


def lock_of(repo: Repository, *, ahead_ns: int, exclusive: bool = True) -> bytes:
    """Leave the lock of a living process of another machine, whose clock is wrong by so much."""
    now = format_time(time.time_ns() + ahead_ns, UTC_ZONE)
    info = LockInfo(now, exclusive, "another machine", "anna", os.getpid())
    return repo.files.save("locks", info.encode()).id


def test_a_lock_from_an_hour_ahead_is_respected_by_both(top: Path, restic: str) -> None:
    repo, real = open_local(top / "repo"), Restic(restic, top / "repo")
    lock = lock_of(repo, ahead_ns=HOUR_NS)
    assert remove_stale_locks(repo) == []
    real.run("unlock")
    assert [each for each, _ in list_locks(repo)] == [lock]
    assert not assert_done_or_locked(ours(top, "backup", "two"))
    assert not assert_done_or_locked(theirs(top, restic, "backup", "two"))


def test_a_lock_from_an_hour_ago_is_stale_to_both_and_its_holder_stops(top: Path, restic: str) -> None:
    """To others, a holder whose clock is an hour behind looks dead. It must notice, and does: see `slept`."""
    repo, real = open_local(top / "repo"), Restic(restic, top / "repo")
    lock_of(repo, ahead_ns=-HOUR_NS)
    assert not assert_done_or_locked(ours(top, "backup", "two")), "no command removes locks by itself"
    real.run("unlock")
    assert list_locks(repo) == []
    lock = lock_of(repo, ahead_ns=-HOUR_NS)
    assert remove_stale_locks(repo) == [lock]


@pytest.mark.parametrize("hours", [-1, 1])
def test_our_own_lock_holds_though_our_clock_jumps(
    top: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """What was refreshed when is measured by a clock that nobody can set."""
    repo, now = open_local(top / "repo"), time.time_ns
    with lock_repository(repo) as lock:
        monkeypatch.setattr(time, "time_ns", lambda: now() + hours * HOUR_NS)
        first = lock.id
        lock.check()
        lock.confirm()
        assert lock.id == first
        lock.refresh()
        lock.confirm()
        assert [each for each, _ in list_locks(repo)] == [lock.id]
    assert list_locks(repo) == []
