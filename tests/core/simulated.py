"""Weeks of an install in seconds: all of it is real but the clocks, which are the test's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from core import clock
from core.alerting import silence, stalled
from core.db import db, utc_now, write
from core.jobs import attempts, job_kinds, jobs, nodes
from core.models import Alert, Job
from core.reports import reports
from jobs import tick
from repository import locks


class Simulation:
    """An install whose clocks stand where the test puts them. It is up until `down` says otherwise."""

    def __init__(self, start: datetime, traveller: Any) -> None:
        self.now = self.start = start
        self.boot = 1
        self.step_h: float = 4  # how often it ticks; in earnest that is every minute
        self.seen: list[tuple[str, str]] = []  # alerts as they opened: kind and subject's sort
        self._traveller = traveller
        self._awake_s = 0.0
        self._known: set[int] = set()

    def run_until(self, end: datetime) -> None:
        """Let the time go on, tick by tick."""
        while self.now < end:
            self._go_to(min(self.now + timedelta(hours=self.step_h), end))
            self._tick()

    def down_until(self, end: datetime) -> None:
        """Switch the machine off until then."""
        self._go_to(end, awake=False)
        self.boot += 1
        silence._noticed.clear()
        self._tick()

    def start_and_die(self, config_id: str) -> int:
        """Let a backup begin, and its process be gone in the middle; return its job."""
        job_id = jobs.create_backup(config_id, "manual").id
        assert attempts.claim(job_id) is not None
        with write() as session:
            session.get_one(Job, job_id).pid_started = f"1@{os.readlink('/proc/self/ns/pid')}"
        return job_id

    def reading(self) -> clock.Reading:
        """Return both clocks, as core.clock reads them."""
        return clock.Reading(utc_now(), (self.now - self.start).total_seconds(), str(self.boot))

    def monotonic(self) -> float:
        """Return for how many seconds the machine was awake."""
        return self._awake_s

    def _go_to(self, moment: datetime, *, awake: bool = True) -> None:
        if awake:
            self._awake_s += (moment - self.now).total_seconds()
        self.now = moment
        self._traveller.move_to(moment)

    def _tick(self) -> None:
        nodes.beat("worker")
        nodes.beat("tick")
        self._perform(tick.run(self.now))
        reports.run()
        for alert in db.session.scalars(select(Alert).where(Alert.id.not_in(self._known)).order_by(Alert.id)):
            self._known.add(alert.id)
            self.seen.append((alert.kind, alert.subject.partition(":")[0]))
        db.session.rollback()

    def _perform(self, job_ids: Iterable[int]) -> None:
        waiting = list(job_ids)
        jobs.mark_enqueued(waiting)
        for job_id in waiting:
            attempt = attempts.claim(job_id)
            if attempt is not None:
                waiting += [each for each in job_kinds.perform(attempt) if each not in waiting]


@contextmanager
def simulation(start: datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """Let a test hold the clocks, from this time on."""
    with time_machine.travel(start, tick=True) as traveller:
        yield _begin(Simulation(start, traveller), monkeypatch)


def _begin(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    monkeypatch.setattr(locks, "SETTLE_S", 0.0)
    monkeypatch.setattr(clock, "read", simulation.reading)
    for module in (silence, stalled):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=simulation.monotonic))
    silence._noticed.clear()
    return simulation


def at(text: str) -> datetime:
    """Return a time in UTC from `2026-03-29 01:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
