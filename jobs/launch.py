"""Start the process of a job, wait for it, and see to it that its row tells how it ended."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import BinaryIO

from core import app_state
from core.db import db, utc_now
from core.errors import NotFound
from core.jobs import interrupted, jobs
from core.models import Job
from core.schedules import limits
from core.settings import PROJECT_DIR

# What jobs.run exits with when the job was not its to run: another has it, or it is not due.
NOT_OURS = 75
_TAIL_BYTES = 8192
# A signal may hit a process by chance; one that hits each process before it begins is no chance.
MOST_STARTS = 3

_log = logging.getLogger(__name__)
_children: dict[int, subprocess.Popen[bytes]] = {}
_told_to_end: set[int] = set()
_mutex = threading.Lock()


def run(job_id: int, meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None) -> None:
    """Run a queued job in a process of its own, and return when that has ended.

    `meanwhile` is called once, with the process, and may watch it as long as it likes. If the process ends
    and leaves the row *running*, the row becomes *interrupted*, with an alert, right away. If this process is
    killed, the job's goes on.
    """
    if not _is_due(job_id):
        return
    with tempfile.TemporaryFile(dir=app_state.settings().data_dir) as errors:
        process = _start(job_id, errors)
        try:
            if meanwhile is not None:
                meanwhile(process)
            process.wait()
        finally:
            if process.poll() is not None:
                _drop(job_id)
        db.session.rollback()
        _settle(job_id, process.pid, process.returncode, _tail(errors))


def stop_unclaimed() -> None:
    """End the processes started here that have not claimed their job yet: it stays queued."""
    with _mutex:
        children = list(_children.items())
    for job_id, process in children:
        db.session.rollback()
        if process.poll() is None and jobs.get(job_id).status == "queued":
            with _mutex:
                _told_to_end.add(process.pid)
            process.terminate()


def _is_due(job_id: int) -> bool:
    """Tell whether to start a process at all; the claim in it decides."""
    try:
        job = jobs.get(job_id)
    except NotFound:
        return False
    due = job.status == "queued" and (job.not_before is None or job.not_before <= utc_now())
    db.session.rollback()
    return due and not limits.hold_back(job_id)


def _start(job_id: int, errors: BinaryIO) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal that started us is not meant for the job.
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.run", str(job_id)],
        cwd=PROJECT_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
    with _mutex:
        _children[job_id] = process
    return process


def _drop(job_id: int) -> None:
    with _mutex:
        _children.pop(job_id, None)


def _settle(job_id: int, pid: int, code: int, errors: str) -> None:
    job = jobs.get(job_id)
    if job.status == "running" and job.pid == pid and job.node == app_state.node_id():
        interrupted.interrupt(job.id, job.attempt, _why(code), errors)
    elif _never_began(job, pid, code):
        starts = jobs.note_broken_start(job_id)
        if code >= 0:
            jobs.fail_unstarted(job_id, _why(code), errors)
        elif starts >= MOST_STARTS:
            jobs.fail_unstarted(job_id, f"{_why(code)}, each of the {starts} times it was started", errors)
        else:
            _log.warning("job %s did not begin, it will be started again: %s", job_id, _why(code))
    elif errors:
        _log.warning("job %s said: %s", job_id, errors)


def _never_began(job: Job, pid: int, code: int) -> bool:
    """Tell whether the process broke before it could claim the job: trying again for ever is no help."""
    with _mutex:
        told_to_end = pid in _told_to_end
        _told_to_end.discard(pid)
    claimed = job.pid == pid  # and then gave it back, to wait
    return job.status == "queued" and not claimed and code != NOT_OURS and not told_to_end


def _why(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL: by somebody, or because memory ran out)"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"


def _tail(errors: BinaryIO) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL_BYTES))
    return errors.read().decode("utf-8", "replace").strip()
