"""A prepared install whose job processes, workers and commands are real children of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask

from core.db import db
from core.points import opened
from core.settings import PROJECT_DIR, load
from core.storages import storages
from jobs import queue
from repository.keyfile import KdfParams
from tests.jobs.waiting import running_pids, until
from tests.prepared import lay_database

PASSWORD = "correct-horse-battery"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """Hold the app context of a fresh install in tmp_path; children inherit its environment."""
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BACKUP_DIR", str(tmp_path / "backups"))
    monkeypatch.setenv("BACKUP_ENCRYPTION_KEY", PASSWORD)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setattr(storages, "KDF", KdfParams(n=1024, r=8, p=1))
    opened.forget_all()
    found = load()
    lay_database(found)
    app = queue.make_app(found)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    for each in (queue.main, queue.tick):
        each.storage.close()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(install: Flask) -> Iterator[Start]:
    """Start modules of the project as processes; whatever still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=PROJECT_DIR, env={**os.environ, **more}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
    _kill_jobs()


def _kill_jobs() -> None:
    """End the job processes that a test left behind; they have sessions of their own."""
    for pid in running_pids():
        with suppress(ProcessLookupError):  # ended this very moment
            os.kill(pid, signal.SIGKILL)
    until(lambda: not running_pids())
