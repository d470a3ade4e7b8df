"""Follow a job to its end: run it here where no worker lives, show its progress on a terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable

import click

from core import words
from core.db import db
from core.jobs import interrupted, jobs, nodes
from core.models import Job
from jobs import tasks

LOOK_EVERY_S = 0.3
RETRY_EVERY_S = 5.0
SWEEP_EVERY_S = 10.0
_END_WITHIN_S = 10.0
_CODES = {"completed": 0, "warning": 3}


def worst(statuses: Iterable[str]) -> int:
    """Return the exit code for jobs that ended so: 1 before 3 before 0."""
    codes = {_CODES.get(status, 1) for status in statuses}
    return next((code for code in (1, 3) if code in codes), 0)


def follow(job_id: int, max_wait: int, *, quiet: bool = False) -> Job:
    """Wait until a job has ended, and return it. Without a worker, what follows from a backup is done, too.

    One that waits for somebody else's lock is cancelled after `max_wait` seconds.
    """
    job = _Follower(job_id, max_wait, quiet=quiet or not sys.stderr.isatty()).run()
    if job.kind == "backup" and job.config_id and not nodes.worker_lives():
        for follower in jobs.queued_followers(job.config_id):
            _Follower(follower, 0, quiet=True).run()
    return jobs.get(job_id)


class _Follower:
    def __init__(self, job_id: int, max_wait: int, *, quiet: bool) -> None:
        self._job_id = job_id
        self._max_wait = max_wait
        self._quiet = quiet
        self._waiting_since: float | None = None
        self._swept_at = time.monotonic()
        self._width = 0

    def run(self) -> Job:
        job = self._look()
        while not job.ended:
            if job.status == "queued":
                self._wait_or_run(job)
            else:
                self._sweep()
            time.sleep(LOOK_EVERY_S)
            job = self._look()
        self._show("")
        return job

    def _wait_or_run(self, job: Job) -> None:
        if job.phase == "waiting":
            self._waiting_since = self._waiting_since or time.monotonic()
            if time.monotonic() - self._waiting_since >= self._max_wait:
                jobs.give_up_waiting(self._job_id, self._max_wait)
                return
        if nodes.worker_lives():
            return
        if job.phase == "waiting":
            time.sleep(min(RETRY_EVERY_S, max(0.1, self._max_wait / 4)))
            jobs.hasten(self._job_id)
        tasks.run_here(self._job_id, self._watch)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Show progress while the job runs in a child of ours; Ctrl-C ends it cleanly."""
        try:
            while process.poll() is None:
                self._look()
                time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            process.terminate()
            process.wait(_END_WITHIN_S)
            raise

    def _look(self) -> Job:
        db.session.rollback()
        job = jobs.get(self._job_id)
        if not job.ended:
            self._show(_line(job))
        return job

    def _sweep(self) -> None:
        """Notice a dead job process even if no minute tick does."""
        if time.monotonic() - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = time.monotonic()
            interrupted.mark_interrupted()

    def _show(self, line: str) -> None:
        if self._quiet:
            return
        click.echo("\r" + line.ljust(self._width), nl=False, err=True)
        if not line:
            click.echo("\r", nl=False, err=True)
        self._width = len(line)


def _line(job: Job) -> str:
    name = job.config.name if job.config else f"Job {job.id}"
    if job.phase == "waiting":
        return f"{name}: waiting, {job.waiting_reason}"[:100]
    what = "point" if job.kind == "copy" else "file"
    rate = f", {words.size(job.bytes_rate)}/s" if job.bytes_rate else ""
    done = f"{words.count(job.files_done, what)}, {words.size(job.bytes_done)}{rate}"
    return f"{name}: {job.phase or job.status} {_bar(job)} {done}".rstrip()


def _bar(job: Job, width: int = 24) -> str:
    if not job.bytes_total:
        return ""
    share = min(1.0, job.bytes_done / job.bytes_total)
    full = round(share * width)
    return f"[{'#' * full}{'.' * (width - full)}] {share:4.0%} of {words.size(job.bytes_total)}"
