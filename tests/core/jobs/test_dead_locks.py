"""Locks of dead jobs are removed, and only those."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core.db import db, utc_now, write
from core.jobs import attempts, jobs
from core.jobs.attempts import Attempt
from core.jobs.dead_locks import remove_dead_locks
from core.models import Job
from core.storages import storages
from repository import locks
from repository.gotext import UTC_ZONE, format_time
from repository.lockfile import LockInfo
from repository.locks import Lock, list_locks, lock_repository
from repository.repository import Repository
from tests.core.making import make_config, make_storage, make_tree


@pytest.fixture
def repo(context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Return the repository of a small install."""
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    make_storage(tmp_path)
    opened = storages.open_repository(storages.list_repositories()[0])
    yield opened
    opened.close()


@pytest.fixture
def attempt(repo: Repository, context: Flask, tmp_path: Path) -> Attempt:
    """Return a job that this very process has claimed."""
    job_id = jobs.create_backup(make_config(make_tree(tmp_path / "tree")).id, "manual").id
    found = attempts.claim(job_id, context.app_context)
    assert found is not None
    return found


@pytest.fixture
def lock(repo: Repository, attempt: Attempt) -> Iterator[Lock]:
    """Return a lock that the job holds."""
    with lock_repository(repo, on_lock_id=attempt.hold_lock) as held:
        yield held


def change(attempt: Attempt, **values: object) -> None:
    """Change the row of the job."""
    with write() as session:
        for name, value in values.items():
            setattr(session.get_one(Job, attempt.job_id), name, value)


def test_the_row_follows_the_lock_when_it_is_refreshed_in_another_thread(
    lock: Lock, attempt: Attempt
) -> None:
    first = lock.id.hex()
    assert jobs.get(attempt.job_id).lock_id == first
    thread = threading.Thread(target=lock.refresh)
    thread.start()
    thread.join()
    db.session.rollback()
    assert jobs.get(attempt.job_id).lock_id == lock.id.hex() != first


def test_the_lock_of_a_living_job_stays(lock: Lock, attempt: Attempt, repo: Repository) -> None:
    change(attempt, heartbeat_at=utc_now() - timedelta(hours=5))
    assert remove_dead_locks(repo) == []


def test_the_lock_of_a_job_that_ended_and_whose_process_lives_stays(
    lock: Lock, attempt: Attempt, repo: Repository
) -> None:
    change(attempt, status="interrupted")
    assert remove_dead_locks(repo) == []


@pytest.mark.parametrize("status", ["running", "interrupted", "completed"])
def test_the_lock_of_a_dead_process_is_removed(
    lock: Lock, attempt: Attempt, repo: Repository, status: str
) -> None:
    dead = jobs.get(attempt.job_id).pid_started.replace("@", "0@")
    change(attempt, status=status, pid_started=dead)
    assert remove_dead_locks(repo) == [lock.id.hex()]


@pytest.mark.parametrize(("minutes", "removed"), [(29, 0), (31, 1)])
def test_elsewhere_only_a_long_silence_proves_it(
    lock: Lock, attempt: Attempt, repo: Repository, minutes: int, removed: int
) -> None:
    change(attempt, node="another", heartbeat_at=utc_now() - timedelta(minutes=minutes))
    assert len(remove_dead_locks(repo)) == removed


def test_a_lock_on_no_row_stays_whatever_it_says(repo: Repository, attempt: Attempt) -> None:
    with lock_repository(repo) as foreign:
        change(attempt, lock_id="0" * 64, boot_id="an earlier boot")
        assert remove_dead_locks(repo) == []
        change(attempt, lock_id=foreign.id.hex())
        assert remove_dead_locks(repo) == [foreign.id.hex()]


def test_an_attempt_that_lost_its_row_notes_no_lock(repo: Repository, attempt: Attempt) -> None:
    old = replace(attempt, number=attempt.number - 1)
    with lock_repository(repo, on_lock_id=old.hold_lock):
        assert old.lost.is_set()
        assert jobs.get(attempt.job_id).lock_id == ""


def gone_pid() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def leave(repo: Repository, minutes: float, hostname: str, pid: int) -> str:
    """Leave a lock on the repository as restic would; return its id."""
    at = format_time(time.time_ns() - int(minutes * 60e9), UTC_ZONE)
    return repo.files.save("locks", LockInfo(at, False, hostname, "somebody", pid).encode()).id.hex()


def test_a_lock_on_no_row_goes_by_restics_rule(repo: Repository) -> None:
    lock_id = leave(repo, 31, socket.gethostname(), gone_pid())
    assert remove_dead_locks(repo) == [lock_id]
    assert list_locks(repo) == []


@pytest.mark.parametrize("case", ["young", "elsewhere", "alive", "of the future", "of no process"])
def test_a_lock_on_no_row_stays_as_long_as_anything_speaks_for_it(repo: Repository, case: str) -> None:
    minutes = {"young": 29, "of the future": -9999}.get(case, 31)
    pid = {"alive": os.getpid(), "of no process": 0}.get(case, gone_pid())
    leave(repo, minutes, "elsewhere" if case == "elsewhere" else socket.gethostname(), pid)
    assert remove_dead_locks(repo) == []
    assert len(list_locks(repo)) == 1
