"""Wait for what other processes do, and make backups that take long enough to be met in the middle."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from core.db import db
from core.jobs import jobs, processes
from core.models import Job

T = TypeVar("T")

GIB = 1 << 30


def until(look: Callable[[], T], within_s: float = 120.0) -> T:
    """Return what `look` returns as soon as that is true; fail if it never is."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        db.session.rollback()
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing happened within {within_s:.0f} seconds")


def make_slow_tree(folder: Path, gib: int = 100) -> Path:
    """Write a tree whose backup takes about a second a GiB: a sparse file has to be read all the same."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.txt").write_text("small\n")
    with open(folder / "large.img", "wb") as file:
        file.truncate(gib * GIB)
    return folder


def is_reading(job_id: int) -> bool:
    """Tell whether a job is in the middle of reading files."""
    job = jobs.get(job_id)
    return job.status == "running" and job.bytes_done > 0 and job.lock_id != ""


def running_pids() -> list[int]:
    """Return the process ids of all jobs whose process is seen to run; that of the tests is none of them."""
    db.session.rollback()
    rows = db.session.scalars(select(Job).where(Job.pid.is_not(None), Job.pid != os.getpid()))
    return [job.pid for job in rows if job.pid is not None and processes.is_alive(job)]
