"""Notice that the clock was set by more than a day: retention and prune must not act on such a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core import app_state, instance
from core.db import utc_now
from core.errors import Refused

JUMP = timedelta(hours=24)
# So long after a start of the machine a clock that went on by more may still be set right.
SETTLES_S = 3600.0
# What is asked each minute is written only so often.
NOTED_FOR_S = 600.0
_KEY = "clock_reference"


@dataclass(frozen=True, slots=True)
class Reading:
    """The wall clock beside the seconds since this machine was started (they go on while it sleeps)."""

    wall: datetime
    since_boot_s: float
    boot_id: str


def read() -> Reading:
    """Read both clocks."""
    return Reading(utc_now(), time.clock_gettime(time.CLOCK_BOOTTIME), app_state.boot_id())


def jump(now: Reading | None = None) -> timedelta | None:
    """Return by how much the clock was set since it was last trusted, if by more than 24 h; else None.

    Until somebody accepts the new time, or the clock is set back, the answer stays the same. Over a
    restart of the machine only a clock that went back can be noticed; see is_settling.
    """
    now = now or read()
    noted = instance.get(_KEY)
    if noted is None:
        accept(now)
        return None
    moved = _moved(noted, now)
    if abs(moved) > JUMP:
        return moved
    if _is_old(noted, now) and not is_settling(now):
        accept(now)
    return None


def is_settling(now: Reading | None = None) -> bool:
    """Tell whether the machine has just started, more than 24 h after the clock was last trusted."""
    now, noted = now or read(), instance.get(_KEY)
    if noted is None or noted["boot_id"] == now.boot_id or now.since_boot_s >= SETTLES_S:
        return False
    return now.wall - datetime.fromisoformat(str(noted["wall"])).astimezone(UTC) > JUMP


def require_trusted(consequence: str) -> None:
    """Raise Refused while the clock is not to be trusted; `consequence` says what is not done therefore."""
    moved = jump()
    if moved is not None:
        raise Refused(
            f"The clock was set {'forward' if moved > timedelta(0) else 'back'} by "
            f"{abs(moved).total_seconds() / 3600:,.0f} hours, so {consequence}.",
            "Set the clock right. If it is right now, run `flask backup cleanup --accept-clock`.",
        )
    if is_settling():
        raise Refused(
            f"The clock has just begun, and it is looked at for an hour, so {consequence}.",
            "Try again later. If the clock is right, run `flask backup cleanup --accept-clock`.",
        )


def accept(now: Reading | None = None) -> None:
    """Trust the clock as it is now."""
    now = now or read()
    instance.put(
        _KEY, {"wall": now.wall.isoformat(), "since_boot_s": now.since_boot_s, "boot_id": now.boot_id}
    )


def _is_old(noted: dict[str, object], now: Reading) -> bool:
    passed_s = now.since_boot_s - float(str(noted["since_boot_s"]))
    return noted["boot_id"] != now.boot_id or not 0 <= passed_s < NOTED_FOR_S


def _moved(noted: dict[str, object], now: Reading) -> timedelta:
    wall = datetime.fromisoformat(str(noted["wall"])).astimezone(UTC)
    if noted["boot_id"] == now.boot_id:
        passed = timedelta(seconds=now.since_boot_s - float(str(noted["since_boot_s"])))
        return now.wall - wall - passed
    return min(now.wall - wall, timedelta(0))
