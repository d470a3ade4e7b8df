"""The process of one job: `python -m jobs.run <job id>`. Claims it, beats, does it, ends its row."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from sqlalchemy.exc import SQLAlchemyError

from core import settings
from core.jobs import attempts, job_kinds
from core.jobs.attempts import Attempt, AttemptLost
from jobs import queue, tasks
from jobs.launch import NOT_OURS
from jobs.queue import App
from jobs.stopping import flag_for_signals

PULSE_EVERY_S = 1.0

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run the job with the id given; return 0 if its row was ended, or waits, by this process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # `restic unlock` sends it to whoever holds a lock
    stop = flag_for_signals()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app = queue.make_app(settings.load())
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with app.app_context():
        attempt = None if stop.is_set() else attempts.claim(int(arguments[0]), app.app_context)
        if attempt is None:
            return NOT_OURS
        attempt.stopped = stop
        return _perform(app, attempt)


def _perform(app: App, attempt: Attempt) -> int:
    pulse = threading.Thread(target=_pulse, args=(app, attempt), name="pulse", daemon=True)
    pulse.start()
    try:
        follow = job_kinds.perform(attempt)
    except AttemptLost as error:
        _log.warning("%s", error)
        return NOT_OURS
    finally:
        attempt.ended.set()
        pulse.join()
    tasks.enqueue(follow)
    return 0


def _pulse(app: App, attempt: Attempt) -> None:
    """Write heartbeat, progress and log until the job has ended."""
    with app.app_context():
        while not attempt.ended.wait(PULSE_EVERY_S) and not attempt.lost.is_set():
            try:
                attempts.pulse(attempt)
            except SQLAlchemyError as error:
                # Others go by the process as long as the heartbeat is missing; the next one may get through.
                _log.warning("no heartbeat could be written: %s", error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
