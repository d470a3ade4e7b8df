"""All tasks: an id in, one call. The queue stores their names, so they stay in this file."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterable

from huey import crontab

from core.jobs import jobs
from jobs import launch, queue
from jobs import tick as minute
from jobs.queue import bind as bind

# A first copy over a slow line takes days, and a large download hours: backups and restores must find a slot
# meanwhile.
MOST_COPIES = 2
MOST_DOWNLOADS = 1

_limited = {
    "copy": threading.BoundedSemaphore(MOST_COPIES),
    "download": threading.BoundedSemaphore(MOST_DOWNLOADS),
}


@queue.main.task()  # type: ignore[untyped-decorator]
def run_job(job_id: int) -> None:
    """Run one job in a process of its own and wait for it: so a worker's slots limit how many run.

    A copy or download too many stays queued, and comes here again with a later minute.
    """
    with queue.app().app_context():
        slots = _limited.get(jobs.kind_of(job_id))
        if slots is None:
            launch.run(job_id)
        elif slots.acquire(blocking=False):
            try:
                launch.run(job_id)
            finally:
                slots.release()


@queue.tick.periodic_task(crontab())  # type: ignore[untyped-decorator]
def every_minute() -> None:
    """Do what is due."""
    with queue.app().app_context():
        enqueue(minute.run())


def run_here(job_id: int, meanwhile: Callable[[subprocess.Popen[bytes]], None]) -> None:
    """Run a queued job in a child of this process, for commands where no worker lives; see jobs.launch."""
    launch.run(job_id, meanwhile)


def enqueue(job_ids: Iterable[int]) -> None:
    """Put queued jobs into the queue, unless they stand there already; called after the commit."""
    wanted = list(job_ids)
    if not wanted:
        return
    waiting = queue.waiting_ids()
    for job_id in wanted:
        if job_id not in waiting:
            run_job(job_id)
    jobs.mark_enqueued(wanted)
