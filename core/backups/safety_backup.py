"""The backup made of what stands somewhere before a restore replaces it."""

from __future__ import annotations

from datetime import timedelta

from core.db import utc_now
from core.errors import Refused
from core.models import Job

GOOD_FOR = timedelta(minutes=30)


def refuse_old(safety: Job) -> None:
    """Raise Refused for one that may hold no more what stands there now: the restore waited too long."""
    if safety.ended_at is None or utc_now() - safety.ended_at <= GOOD_FOR:
        return
    raise Refused(
        f"The safety backup, job {safety.id}, is too old by now: this restore had to wait after it.",
        "Nothing was touched. Start it again: a new safety backup is made.",
    )
