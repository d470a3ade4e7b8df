"""Say what a server does for a restore, while nothing else tells: a job that says nothing seems to hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from core.jobs.attempts import Attempt
from repository.progress import Progress
from sources.postgres import activity
from sources.postgres.errors import ServerUnavailable
from sources.postgres.server import Server

LOOK_EVERY_S = 60.0


@contextmanager
def told(attempt: Attempt, server: Server, name: str) -> Iterator[None]:
    """Keep the progress of a restore of `name` fresh as long as the server works at it."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_S):
            try:
                doing = activity.at_work(server, name)
            except ServerUnavailable:
                continue  # the restore itself meets the same, and says so
            if doing:
                attempt.progress = replace(attempt.progress or Progress("restoring"), current=doing.encode())

    thread = threading.Thread(target=look, name="restore watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
