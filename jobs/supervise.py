"""All of Holdfast in one command: `python -m jobs.supervise`. Web pages, the worker, the minute tick."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time

from sqlalchemy import select

from core import app_state, settings, setup
from core.db import db
from core.errors import HoldfastError
from core.jobs import interrupted, processes
from core.jobs.flag import Flag
from core.models import Job
from core.settings import Settings, SettingsError
from jobs import only_one, ports, queue
from jobs.child import Child
from jobs.queue import App
from jobs.stopping import flag_for_signals

LOOK_EVERY_S = 0.3
END_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0


def main() -> int:
    """Start everything, say where it is, keep it running until SIGINT or SIGTERM; return the exit code."""
    stop = flag_for_signals()
    try:
        given = settings.load()
        app = queue.make_app(given)
        only_one.hold(given.data_dir, ports.url_of(given.host, given.port))
        with app.app_context():
            notes = setup.apply_environment(given)
    except (SettingsError, HoldfastError) as error:
        return _fail(str(error))
    problem = ports.why_not_free(given.host, given.port)
    if problem:
        return _fail(problem)
    for note in notes:
        sys.stderr.write(f"{note}\n")
    return _supervise(app, given, stop)


def _supervise(app: App, given: Settings, stop: Flag) -> int:
    children = _children(given)
    try:
        told = False
        began = time.monotonic()
        while not stop.is_set():
            time.sleep(LOOK_EVERY_S)
            given_up = [child for child in children if not child.look()]
            if given_up:
                return _fail(f"The {given_up[0].name} cannot be kept running:\n{given_up[0].last_words}")
            if not told and _answers(given):
                told = True
                _tell(app, given)
            if not told and time.monotonic() - began > ANSWER_WITHIN_S:
                return _fail(f"The pages do not answer after {ANSWER_WITHIN_S:.0f} seconds.")
        return 0
    finally:
        _end(app, children)


def _children(given: Settings) -> list[Child]:
    bind = ports.address_of(given.host, given.port)
    return [
        Child("web server", ["gunicorn", "--config", "python:jobs.gunicorn_conf", "--bind", bind]),
        Child("worker", ["jobs.worker", "main"]),
        Child("minute tick", ["jobs.worker", "tick"]),
    ]


def _tell(app: App, given: Settings) -> None:
    url = ports.url_of(given.host, given.port)
    _say(f"Holdfast is running at {url}")
    with app.app_context():
        token = setup.setup_token()
        db.session.remove()
    if token is not None:
        _say(f"{url}/setup?token={token}")


def _answers(given: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given.host, given.host)  # noqa: S104  (asked, not bound)
    connection = http.client.HTTPConnection(host, given.port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(app: App, children: list[Child]) -> None:
    """End the children, then the jobs that run on this node; nobody is waited for longer than ten seconds."""
    until = time.monotonic() + END_WITHIN_S
    for child in children:
        child.terminate()
    with app.app_context():
        running = _signal_jobs(signal.SIGTERM)
        for child in children:
            child.wait(until)
        running |= _signal_jobs(signal.SIGTERM)  # one that a worker had just started
        while running and time.monotonic() < until:
            time.sleep(0.1)
            running = _running_here()
        if running:
            _signal_jobs(signal.SIGKILL)
            time.sleep(0.2)
        db.session.rollback()
        interrupted.mark_interrupted()


def _running_here() -> set[int]:
    """Return the process ids of the jobs that run on this node."""
    db.session.rollback()
    running = db.session.scalars(select(Job).where(Job.status == "running", Job.node == app_state.node_id()))
    return {job.pid for job in running if job.pid is not None and processes.is_alive(job)}


def _signal_jobs(number: signal.Signals) -> set[int]:
    running = _running_here()
    for pid in running:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # ended this very moment
    return running


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main())
