"""Locks: the protocol, what stops a writer, and the matrix with the real restic."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import locks
from repository.errors import Damaged, Locked, LockLost
from repository.gotext import UTC_ZONE, format_time
from repository.lockfile import LockInfo
from repository.locks import Lock, list_locks, lock_repository, remove_lock, remove_stale_locks
from repository.repository import Repository
from storage_adapters.errors import StorageError, TransientStorageError
from storage_adapters.memory import MemoryAdapter
from tests.repository import driven
from tests.repository.engine import Restic, make_backup, new_local_repo, new_repo
from tests.waiting import wait_for

MINUTE_NS = 60 * 10**9


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)


@pytest.fixture
def storage() -> MemoryAdapter:
    return MemoryAdapter()


@pytest.fixture
def repo(storage: MemoryAdapter) -> Repository:
    return new_repo(storage)


def other_lock(
    repo: Repository, *, exclusive: bool, age_ns: int = 0, pid: int = 1, host: str = "other"
) -> bytes:
    moment = format_time(time.time_ns() - age_ns, UTC_ZONE)
    return repo.files.save("locks", LockInfo(moment, exclusive, host, "them", pid).encode()).id


def take(repo: Repository, clock: Clock, *, exclusive: bool = False) -> Lock:
    lock = Lock(repo.files, exclusive, lambda lock_id: None, clock)
    lock.acquire()
    return lock


@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_only_two_shared_locks_go_together(repo: Repository, ours: bool, theirs: bool) -> None:
    other = other_lock(repo, exclusive=theirs)
    if not ours and not theirs:
        with lock_repository(repo, exclusive=ours):
            assert len(list_locks(repo)) == 2
    else:
        with pytest.raises(Locked) as caught:
            lock_repository(repo, exclusive=ours)
        assert other.hex()[:8] in caught.value.holder
        assert "them@other" in caught.value.holder
    assert [lock_id for lock_id, _ in list_locks(repo)] == [other]


def test_a_lock_says_who_holds_it_and_is_removed(repo: Repository) -> None:
    told: list[str] = []
    with lock_repository(repo, exclusive=True, on_lock_id=told.append) as lock:
        ((lock_id, info),) = list_locks(repo)
        assert told == [lock_id.hex()] == [lock.id.hex()]
        assert (info.exclusive, info.pid, info.uid) == (True, os.getpid(), os.getuid())
    assert list_locks(repo) == []


def test_a_lock_is_removed_after_an_error(repo: Repository) -> None:
    with pytest.raises(RuntimeError, match="boom"), lock_repository(repo):
        raise RuntimeError("boom")
    assert list_locks(repo) == []


class Racing(MemoryAdapter):
    """A storage on which another process takes a lock just before ours is seen."""

    repo: Repository | None = None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        repo, self.repo = (self.repo, None) if key.startswith("locks/") else (None, self.repo)
        super().put(key, data)
        if repo is not None:
            other_lock(repo, exclusive=True)


def test_a_race_is_seen_by_listing_again(repo: Repository) -> None:
    racing = Racing()
    repo = new_repo(racing)
    racing.repo = repo
    with pytest.raises(Locked):
        lock_repository(repo)
    assert [info.hostname for _, info in list_locks(repo)] == ["other"]


def test_an_unreadable_lock_is_in_the_way_and_an_empty_one_is_not(
    repo: Repository, storage: MemoryAdapter
) -> None:
    storage.put("locks/" + "00" * 32, b"")
    with lock_repository(repo):
        pass
    storage.put("locks/" + "11" * 32, b"torn")
    with pytest.raises(Damaged, match="unlock --remove-all"):
        lock_repository(repo)


def test_a_refresh_writes_a_new_lock_and_removes_the_old(repo: Repository) -> None:
    told: list[str] = []
    with lock_repository(repo, on_lock_id=told.append) as lock:
        first = lock.id
        lock.refresh()
        assert lock.id != first
        assert [lock_id for lock_id, _ in list_locks(repo)] == [lock.id]
        assert told == [first.hex(), lock.id.hex()]
        lock.check()


def test_the_thread_refreshes_and_goes_on_after_a_fault(
    storage: MemoryAdapter, repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REFRESH_S", 0.02)
    monkeypatch.setattr(locks, "RETRY_S", 0.02)
    told: list[str] = []
    with lock_repository(repo, on_lock_id=told.append) as lock:
        put = storage.put
        failures: list[str] = []

        def fail(key: str, data: bytes | bytearray | memoryview) -> None:
            failures.append(key)
            raise TransientStorageError("down")

        storage.put = fail  # type: ignore[method-assign]
        wait_for(lambda: len(failures) > 1)
        storage.put = put  # type: ignore[method-assign]
        count = len(told)
        wait_for(lambda: len(told) > count + 1)
        lock.check()
    assert list_locks(repo) == []


def test_a_lock_that_somebody_removed_is_lost_at_the_next_refresh(repo: Repository) -> None:
    with lock_repository(repo) as lock:
        remove_lock(repo, lock.id)
        with pytest.raises(LockLost, match="removed by somebody else"):
            lock.refresh()
        with pytest.raises(LockLost):
            lock.check()
    assert list_locks(repo) == []


def test_after_a_sleep_the_lock_goes_on_if_it_is_still_there(repo: Repository) -> None:
    clock = Clock()
    with take(repo, clock) as lock:
        first = lock.id
        clock.now += 3600
        lock.check()
        assert lock.id != first
        assert [lock_id for lock_id, _ in list_locks(repo)] == [lock.id]


def test_after_a_sleep_the_lock_is_lost_if_it_is_gone(repo: Repository) -> None:
    clock = Clock()
    with take(repo, clock) as lock:
        remove_lock(repo, lock.id)
        clock.now += 3600
        with pytest.raises(LockLost):
            lock.check()
    assert list_locks(repo) == []


def test_a_lock_removed_while_it_is_refreshed_late_is_lost(
    storage: MemoryAdapter, repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took us for dead between our look and our new lock file."""
    clock = Clock()
    with take(repo, clock) as lock:
        old = lock.id
        monkeypatch.setattr(locks.time, "sleep", lambda seconds: remove_lock(repo, old))
        clock.now += 3600
        with pytest.raises(LockLost):
            lock.check()
        monkeypatch.undo()
    assert list_locks(repo) == []


def test_no_refresh_for_22_minutes_loses_the_lock(storage: MemoryAdapter, repo: Repository) -> None:
    clock = Clock()
    with take(repo, clock) as lock:

        def fail(key: str) -> None:
            raise TransientStorageError("down")

        stat, storage.stat = storage.stat, fail  # type: ignore[method-assign, assignment]
        clock.now += 22 * 60
        lock.check()
        with pytest.raises(StorageError):
            lock.refresh()
        clock.now += 60
        with pytest.raises(LockLost, match=r"could not be refreshed for 22\.5 minutes"):
            lock.check()
        storage.stat = stat  # type: ignore[method-assign]
        with pytest.raises(LockLost):
            lock.check()


def test_unlock_removes_what_is_old_or_dead_and_no_more(repo: Repository, storage: MemoryAdapter) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    here = os.uname().nodename
    kept = {
        other_lock(repo, exclusive=True),
        other_lock(repo, exclusive=False, host=here, pid=os.getpid()),
        other_lock(repo, exclusive=False, host=here, pid=1),
        other_lock(repo, exclusive=False, host="other", pid=dead.pid),
        other_lock(repo, exclusive=False, age_ns=29 * MINUTE_NS),
    }
    stale = {
        other_lock(repo, exclusive=False, age_ns=31 * MINUTE_NS),
        other_lock(repo, exclusive=True, host=here, pid=dead.pid),
    }
    assert set(remove_stale_locks(repo)) == stale
    assert {lock_id for lock_id, _ in list_locks(repo)} == kept
    storage.put("locks/" + "11" * 32, b"torn")
    assert remove_stale_locks(repo) == []
    assert len(remove_stale_locks(repo, remove_all=True)) == len(kept) + 1
    assert repo.files.list("locks") == []


def test_hangups_are_ignored_while_a_lock_is_held(repo: Repository) -> None:
    before = signal.getsignal(signal.SIGHUP)
    with lock_repository(repo):
        with lock_repository(repo):
            pass
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_lock_may_be_taken_in_any_thread(repo: Repository) -> None:
    seen: list[int] = []

    def work() -> None:
        with lock_repository(repo):
            seen.append(len(list_locks(repo)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1]
    assert list_locks(repo) == []


@pytest.fixture
def both(restic: str, tmp_path: Path) -> tuple[Repository, Restic]:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x")
    repo = new_local_repo(tmp_path / "repo")
    make_backup(repo, tmp_path / "tree")
    return repo, Restic(restic, tmp_path / "repo")


def test_restic_respects_our_locks(both: tuple[Repository, Restic], tmp_path: Path) -> None:
    repo, restic = both
    with lock_repository(repo, exclusive=True):
        assert "already locked exclusively" in restic.run("backup", tmp_path / "tree", check=False).stderr
        assert restic.run("snapshots", check=False).returncode != 0
    with lock_repository(repo):
        assert restic.run("backup", tmp_path / "tree").returncode == 0
        assert "already locked" in restic.run("prune", check=False).stderr
    assert restic.run("prune").returncode == 0


def test_restics_unlock_neither_kills_us_nor_removes_our_lock(both: tuple[Repository, Restic]) -> None:
    """restic asks with SIGHUP whether the holder lives."""
    repo, restic = both
    with lock_repository(repo) as lock:
        restic.run("unlock")
        assert [lock_id for lock_id, _ in list_locks(repo)] == [lock.id]


@pytest.fixture
def restic_at_work(both: tuple[Repository, Restic]) -> Iterator[tuple[Repository, subprocess.Popen[bytes]]]:
    """A restic that backs up its standard input, and holds its shared lock until that ends."""
    repo, restic = both
    command = [restic.program, "-r", str(restic.repo), "--no-cache", "backup", "--stdin"]
    process = subprocess.Popen(
        command, env=restic.env(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: len(repo.files.list("locks")) == 1)
        yield repo, process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def test_we_respect_restics_locks(
    restic_at_work: tuple[Repository, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    repo, process = restic_at_work
    with pytest.raises(Locked) as caught:
        lock_repository(repo, exclusive=True)
    assert f"process {process.pid}," in caught.value.holder
    with lock_repository(repo):
        make_backup(repo, tmp_path / "tree")
    assert remove_stale_locks(repo) == [], "its process lives"
    assert process.poll() is None


def test_we_remove_the_lock_of_a_killed_restic(
    restic_at_work: tuple[Repository, subprocess.Popen[bytes]],
) -> None:
    repo, process = restic_at_work
    process.kill()
    process.wait()
    assert len(remove_stale_locks(repo)) == 1
    with lock_repository(repo, exclusive=True):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_backup_removes_the_lock(
    both: tuple[Repository, Restic], tmp_path: Path, number: signal.Signals
) -> None:
    repo, _ = both
    for name in range(40):
        (tmp_path / "tree" / f"{name}").write_bytes(os.urandom(600_000))
    code, _, errors = driven.run(tmp_path, "backup", "tree", k=8, number=number)  # the first three: the lock
    assert (code, errors) == (130, "Error: interrupted; nothing that refers to unfinished work was written\n")
    assert repo.files.list("locks") == []
    assert len(repo.list_snapshots()) == 1


def test_a_storage_that_hangs_is_not_waited_for_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on = threading.Event()

    class Hanging(MemoryAdapter):
        def delete(self, key: str) -> None:
            if key.startswith("locks/"):
                goes_on.wait(120)
            super().delete(key)

    monkeypatch.setattr(locks, "RELEASE_S", 0.1)
    repo = new_repo(Hanging())
    lock = lock_repository(repo)
    lock.release()
    assert f"the lock {lock.id.hex()} may be left behind" in caplog.text
    goes_on.set()


def test_what_a_release_meets_reaches_the_caller() -> None:
    class Broken(MemoryAdapter):
        def delete(self, key: str) -> None:
            raise ZeroDivisionError(key)

    with pytest.raises(ZeroDivisionError, match="locks/"):
        lock_repository(new_repo(Broken())).release()
