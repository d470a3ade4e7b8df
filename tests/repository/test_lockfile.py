"""Lock files and when they are stale."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from repository.errors import Damaged
from repository.lockfile import STALE_AFTER_NS, LockInfo, is_stale
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents, refuses_or_decodes

LOCK = LockInfo("2026-11-23T03:04:05.5+01:00", True, "host", "anna", 4711, 1000, 100)
NOW = LOCK.time_ns + 60 * 1_000_000_000


def alive(pid: int) -> bool:
    return True


def gone(pid: int) -> bool:
    return False


def test_the_text_is_restics() -> None:
    assert LOCK.encode() == (
        b'{"time":"2026-11-23T03:04:05.5+01:00","exclusive":true,"hostname":"host","username":"anna","pid":4711,'
        b'"uid":1000,"gid":100}'
    )
    root = LockInfo(LOCK.time, False, "h", "root", 1)
    assert root.encode().endswith(b'"exclusive":false,"hostname":"h","username":"root","pid":1}')


def test_a_lock_comes_back() -> None:
    assert LockInfo.decode(LOCK.encode()) == LOCK


def test_a_lock_of_a_living_process_is_not_stale() -> None:
    assert not is_stale(LOCK, NOW, "host", alive)


def test_a_lock_whose_process_is_gone_is_stale_on_its_own_host_only() -> None:
    assert is_stale(LOCK, NOW, "host", gone)
    assert not is_stale(LOCK, NOW, "other", gone)


def test_the_process_asked_about_is_the_holder() -> None:
    assert is_stale(LOCK, NOW, "host", lambda pid: pid != 4711)


def test_a_lock_is_stale_after_30_minutes_whoever_lives() -> None:
    assert STALE_AFTER_NS == 1800 * 1_000_000_000
    assert not is_stale(LOCK, LOCK.time_ns + STALE_AFTER_NS, "other", alive)
    assert is_stale(LOCK, LOCK.time_ns + STALE_AFTER_NS + 1, "host", alive)


def test_a_lock_of_the_future_is_not_stale() -> None:
    assert not is_stale(LOCK, LOCK.time_ns - 10**18, "other", gone)


@pytest.mark.parametrize(
    "fields", [{"time": None}, {"time": "x"}, {"pid": -1}, {"pid": 2**31}, {"exclusive": 1}, {"hostname": []}]
)
def test_locks_that_cannot_be_are_damage(fields: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        LockInfo.decode(json.dumps(json.loads(LOCK.encode()) | fields).encode())


@given(mutations(LOCK.encode()))
def test_mutated_locks_are_damaged_or_decode(data: bytes) -> None:
    lock = refuses_or_decodes(LockInfo.decode, data)
    assert lock is None or LockInfo.decode(lock.encode()) == lock


def test_hostile_locks_are_damaged() -> None:
    for data in HOSTILE_TEXTS:
        with pytest.raises(Damaged):
            LockInfo.decode(data)
    for data in odd_documents(LOCK.encode()):
        refuses_or_decodes(LockInfo.decode, data)
