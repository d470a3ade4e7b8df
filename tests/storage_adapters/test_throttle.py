"""The bandwidth limit: over a time no more goes through, and a lock's refresh never waits."""

from __future__ import annotations

import threading

import pytest

from storage_adapters.memory import MemoryAdapter
from storage_adapters.throttle import Limit, ThrottledAdapter

MEGA = 1_000_000


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.mutex = threading.Lock()

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self.mutex:
            self.now += seconds

    def __call__(self) -> float:
        return self.now


def throttled(clock: Clock, upload: Limit, download: Limit = lambda: None) -> ThrottledAdapter:
    return ThrottledAdapter(MemoryAdapter(), upload, download, clock=clock, sleep=clock.sleep)


def test_uploads_keep_within_the_limit() -> None:
    storage = throttled(clock := Clock(), lambda: MEGA)
    for number in range(11):
        storage.put(f"object{number}", bytes(2 * MEGA))
    assert clock.now - 100 == pytest.approx(20)
    assert storage.get("object0") == bytes(2 * MEGA)
    assert clock.now - 100 == pytest.approx(20), "the other direction has no limit"


def test_downloads_keep_within_the_limit_ranges_or_not() -> None:
    storage = throttled(clock := Clock(), lambda: None, lambda: 2 * MEGA)
    storage.put("object", bytes(4 * MEGA))
    storage.get("object")
    storage.get("object", 0, MEGA)
    storage.get("object", MEGA, MEGA)
    assert clock.now - 100 == pytest.approx(2.5)


def test_time_without_work_is_not_saved_up() -> None:
    storage = throttled(clock := Clock(), lambda: MEGA)
    storage.put("object", bytes(MEGA))
    clock.sleep(1000)
    storage.put("object", bytes(MEGA))
    storage.put("object", bytes(MEGA))
    assert clock.now - 1100 == pytest.approx(1)


def test_small_objects_never_wait() -> None:
    storage = throttled(clock := Clock(), lambda: 1000)
    storage.put("data/pack", bytes(MEGA))
    storage.put("locks/mine", bytes(300))
    assert clock.now == 100


def test_the_limit_may_change_with_the_hour() -> None:
    limits: list[float | None] = [MEGA, MEGA, None, MEGA]
    storage = throttled(clock := Clock(), lambda: limits.pop(0))
    for number in range(4):
        storage.put(f"object{number}", bytes(MEGA))
    assert clock.now - 100 == pytest.approx(2)


def test_threads_share_the_limit() -> None:
    storage = throttled(clock := Clock(), lambda: MEGA)
    threads = [threading.Thread(target=storage.put, args=(f"{n}", bytes(MEGA))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storage.put("last", bytes(MEGA))
    assert clock.now - 100 >= 8
