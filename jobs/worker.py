"""A worker: `python -m jobs.worker main` runs jobs, `python -m jobs.worker tick` the minute tick."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from core import settings
from core.alerting import disk_watch, silence
from core.backups import work_folders
from core.db import db
from core.jobs import nodes
from core.messaging import deliveries, heartbeat, pings
from core.points import built_downloads
from core.reports import reports
from core.settings import SettingsError
from jobs import launch, queue, tasks
from jobs.queue import App
from jobs.storage_watch import StorageWatch

# How many jobs run at once; each is a process of its own, a thread here waits for it. Copies never take all:
# see tasks.MOST_COPIES.
SLOTS = 4
# How soon a disk that is gone is noticed while nothing uses it.
WATCH_STORAGES_EVERY_S = 120.0
# How soon people are told. Each worker does it, so that one can tell that the other is dead.
TELL_EVERY_S = 5.0
WATCH_DISKS_EVERY_S = 120.0
WATCH_TICK_EVERY_S = 60.0
REPORTS_EVERY_S = 60.0
SWEEP_EVERY_S = 300.0
_DUTIES: dict[str, tuple[tuple[Callable[[], object], float], ...]] = {
    "both": ((deliveries.run, TELL_EVERY_S), (pings.run, TELL_EVERY_S)),
    "worker": ((silence.watch_tick, WATCH_TICK_EVERY_S),),
    "tick": (
        (heartbeat.run, TELL_EVERY_S),
        (disk_watch.watch, WATCH_DISKS_EVERY_S),
        (work_folders.sweep, SWEEP_EVERY_S),
        (built_downloads.sweep, SWEEP_EVERY_S),
        (reports.run, REPORTS_EVERY_S),
    ),
}

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
    # Before anybody is told that this worker lives: told to end from then on, it ends in good order.
    consumer._set_signal_handlers()
    ended = threading.Event()
    beat = partial(nodes.beat, role)
    beating = threading.Thread(target=_repeat, args=(app, beat, nodes.BEAT_EVERY_S, ended), daemon=True)
    beating.start()
    # Not joined, and not part of the tick: a receiver, or a disk, may be slow.
    for duty, every_s in _DUTIES["both"] + _DUTIES[role]:
        telling = (app, duty, every_s, ended)
        threading.Thread(target=_repeat, args=telling, name=duty.__module__, daemon=True).start()
    if role == "tick":
        watch = (app, StorageWatch(app, ended).look, WATCH_STORAGES_EVERY_S, ended)
        threading.Thread(target=_repeat, args=watch, name="storages", daemon=True).start()
    try:
        consumer.run()
    finally:
        ended.set()
        beating.join()
        with app.app_context():
            launch.stop_unclaimed()
            nodes.gone(role)


def _repeat(app: App, duty: Callable[[], object], every_s: float, ended: threading.Event) -> None:
    """Do `duty` now and then again, until the worker ends; what fails is logged, and tried again."""
    with app.app_context():
        while True:
            try:
                duty()
            except SQLAlchemyError as error:
                _log.warning("%s could not be done this time: %s", duty, error)
            except Exception:  # noqa: BLE001  (logged; a thread that ends here would be missed by nobody)
                _log.exception("%s failed; it is tried again", duty)
            finally:
                db.session.rollback()
            if ended.wait(every_s):
                return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
