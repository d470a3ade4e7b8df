"""The bandwidth limit: over a time no more goes through, and a lock's refresh never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from storage_adapters.base import stop_waiting
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryingAdapter
from storage_adapters.throttle import Limit, ThrottledAdapter

MEGA = 1_000_000


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.mutex = threading.Lock()
        self.on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.on_sleep()
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
    clock = Clock()
    storage = throttled(clock, lambda: MEGA if clock.now < 102 else None)
    for number in range(5):
        storage.put(f"object{number}", bytes(MEGA))
    assert clock.now - 100 == pytest.approx(2)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize(
    ("limit", "least", "most"), [(10 * MEGA, 3, 4), (None, 3, 4), (MEGA / 10, 60, 90), (MEGA, 10, 10)]
)
def test_who_waits_already_follows_a_limit_that_changes(
    direction: str, limit: float | None, least: float, most: float
) -> None:
    """10 MB at 1 MB/s are 10 seconds; after three of them it may go faster, without limit, or slower."""
    clock = Clock()

    def changing() -> float | None:
        return MEGA if clock.now < 103 else limit

    storage = ThrottledAdapter(MemoryAdapter(), changing, changing, clock=clock, sleep=clock.sleep)
    storage.inner.put("pack", bytes(10 * MEGA))
    for _ in range(2):
        if direction == "up":
            storage.put("pack", bytes(10 * MEGA))
        else:
            storage.get("pack", 0, 10 * MEGA)
    assert least - 0.01 <= clock.now - 100 <= most + 0.01


def test_who_waits_for_bandwidth_stops_as_soon_as_the_work_has_ended() -> None:
    clock = Clock()
    throttle = throttled(clock, lambda: 1000)
    storage = RetryingAdapter(PrefixedAdapter(throttle, "repository/"))
    storage.put("data/pack", bytes(MEGA))  # a quarter of an hour is owed for it now
    clock.on_sleep = lambda: stop_waiting(storage)
    with pytest.raises(StorageError, match="given up"):
        storage.put("data/other", bytes(MEGA))
    assert clock.now - 100 < 5
    storage.put("locks/mine", bytes(300))
    storage.delete("locks/mine")


def test_threads_share_the_limit() -> None:
    storage = throttled(clock := Clock(), lambda: MEGA)
    threads = [threading.Thread(target=storage.put, args=(f"{n}", bytes(MEGA))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storage.put("last", bytes(MEGA))
    assert clock.now - 100 >= 8
