"""A worker: `python -m jobs.worker main` runs jobs, `python -m jobs.worker tick` the minute tick."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from core import nodes, settings
from core.settings import SettingsError
from jobs import launch, queue, tasks
from jobs.queue import App

# How many jobs run at once; each is a process of its own, a thread here waits for it.
SLOTS = 2

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run one of the two workers until it is told to end (SIGTERM, or SIGINT to wait for running jobs)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if arguments not in (["main"], ["tick"]):
        sys.stderr.write("Say which worker: `python -m jobs.worker main` or `python -m jobs.worker tick`.\n")
        return 2
    try:
        app = queue.make_app(settings.load())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    role: Literal["worker", "tick"] = "tick" if arguments == ["tick"] else "worker"
    _work(app, role)
    return 0


def _work(app: App, role: Literal["worker", "tick"]) -> None:
    assert tasks.run_job.huey is queue.main  # the import registers the tasks
    chosen = queue.tick if role == "tick" else queue.main
    consumer = chosen.create_consumer(
        workers=1 if role == "tick" else SLOTS, periodic=role == "tick", worker_type="thread", max_delay=1.0
    )
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(app, role, ended), name="beat", daemon=True)
    beating.start()
    try:
        consumer.run()
    finally:
        ended.set()
        beating.join()
        with app.app_context():
            launch.stop_unclaimed()
            nodes.gone(role)


def _beat(app: App, role: Literal["worker", "tick"], ended: threading.Event) -> None:
    with app.app_context():
        while True:
            try:
                nodes.beat(role)
            except SQLAlchemyError as error:
                _log.warning("the %s could not say that it lives: %s", role, error)
            if ended.wait(nodes.BEAT_EVERY_S):
                return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
