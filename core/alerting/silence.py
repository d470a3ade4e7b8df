"""What should have happened and did not: nobody else would tell of it.

A silence counts from when this process first noticed it, awake: after a night switched off, what is due is
being done, and nobody has to be woken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from core import words
from core.alerting import alerts
from core.configs import configs, objectives
from core.db import db, utc_now
from core.jobs import nodes
from core.models import Config, Job, Node, Point
from core.retention import standings
from core.schedules import limits, pause

NODE_SILENT_FOR = timedelta(minutes=5)
QUEUED_FOR = timedelta(hours=1)
RETENTION_EVERY = timedelta(hours=48)
# How long each silence has to be noticed before it is told, in seconds awake.
TELL_AFTER_S = {"worker": 300, "queued": 0, "late": 3600, "retention": 3600, "unkept": 3600}
# Looking at every config's times and points costs something: so often, in minutes.
LOOK_EVERY_MINUTES = 10

_noticed: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Silence:
    """One thing that did not happen, with the texts of its alert. `subject` begins with its sort."""

    subject: str
    severity: str
    what: str
    meaning: str
    advice: str
    config_id: str | None = None
    job_id: int | None = None

    @property
    def sort(self) -> str:
        """A key of TELL_AFTER_S; also the kind of its alert."""
        return self.subject.partition(":")[0]


def watch(now: datetime | None = None, awake_s: float | None = None) -> None:
    """Alert about what did not happen; resolve what does again. Called each minute by the tick."""
    now = now or utc_now()
    awake_s = time.monotonic() if awake_s is None else awake_s
    _tell(("worker", "queued"), [*_worker(now), *_queued(now)], awake_s)
    told = pause.active(now) is None
    if now.minute % LOOK_EVERY_MINUTES == 0 and told:
        _tell(("late", "retention"), [*_late(now), *_retention(now)], awake_s)
    if standings.is_due(now):  # it reads every point; pages tell what it finds, also while all is paused
        unkept = list(_unkept(now))
        if told:
            _tell(("unkept",), unkept, awake_s)


def watch_tick(now: datetime | None = None) -> bool:
    """Alert if the minute tick of this machine is silent; called by the worker. Tell whether it is."""
    now = now or utc_now()
    node = nodes.this()
    silent = node is not None and _is_silent(node.tick_seen_at, node.created_at, now)
    if not silent:
        alerts.resolve("tick:")
        return False
    if not alerts.is_open("tick:"):
        alerts.raise_alert(
            "tick:", "tick", "error",
            "The scheduler (the minute tick) of this machine has not been heard of for 5 minutes.",
            "No backup begins by itself, and nothing else that is due happens.",
            "Start Holdfast again: `make run`, or its service. If this goes on, look into its log.",
        )  # fmt: skip
    return True


def _tell(sorts: Iterable[str], found: list[Silence], awake_s: float) -> None:
    present = {each.subject: each for each in found}
    for subject in [each for each in _noticed if each.partition(":")[0] in sorts and each not in present]:
        del _noticed[subject]
    for alert in alerts.list_open():
        if alert.subject.partition(":")[0] in sorts and alert.subject not in present and alert.kind in sorts:
            alerts.resolve(alert.subject)
    for subject, silence in present.items():
        since = _noticed.setdefault(subject, awake_s)
        if awake_s - since >= TELL_AFTER_S[silence.sort] and not alerts.is_open(subject):
            _raise(silence)


def _raise(silence: Silence) -> None:
    alerts.raise_alert(
        silence.subject, silence.sort, silence.severity, silence.what, silence.meaning, silence.advice,
        config_id=silence.config_id, job_id=silence.job_id,
    )  # fmt: skip


def _worker(now: datetime) -> Iterator[Silence]:
    node: Node | None = nodes.this()
    if node is None or not _is_silent(node.worker_seen_at, node.created_at, now):
        return
    yield Silence(
        f"worker:{node.id}", "error",
        f"The worker of {node.hostname} has not been heard of for 5 minutes.",
        "Backups are queued, and none of them begins.",
        "Start Holdfast again: `make run`, or its service. If this goes on, look into its log.",
    )  # fmt: skip


def _is_silent(seen_at: datetime | None, created_at: datetime, now: datetime) -> bool:
    return abs(now - (seen_at or created_at)) > NODE_SILENT_FOR


def _queued(now: datetime) -> Iterator[Silence]:
    """Look for jobs that nothing has begun for an hour."""
    query = select(Job).where(Job.status == "queued", Job.created_at < now - QUEUED_FOR)
    for job in db.session.scalars(query).all():
        if any(limits.quiet_until(job, moment) for moment in (now, now - QUEUED_FOR)):
            continue  # it could not begin by itself for that long
        about = f"Job {job.id} ({job.kind}{f' of {job.config.name}' if job.config else ''})"
        why = f" It waits: {job.waiting_reason}." if job.waiting_reason else ""
        yield Silence(
            f"queued:{job.id}", "warning",
            f"{about} has been in the queue for more than an hour, and has not begun.{why}",
            "What it is to do has not happened yet.",
            "See that the worker runs, and which jobs run before it. Cancel one that hangs.",
            config_id=job.config_id, job_id=job.id,
        )  # fmt: skip


def _late(now: datetime) -> Iterator[Silence]:
    """Look for configs whose newest point is older than their objective, whatever the reason."""
    for config in configs.list_all():
        found = objectives.rpo_now(config, now) if config.enabled else None
        age = None if found is None else _age(config, found, now)
        if found is None or found.objective is None or age is None or age <= found.objective:
            continue
        newest = "has no point yet" if found.age is None else f"has no point newer than {_hours(found.age)}"
        yield Silence(
            f"late:{config.id}", "error",
            f"{config.name} {newest}; its objective is {_hours(found.objective)}.",
            "What changed since is in no backup.",
            "Look at the last jobs of this config, and run a backup by hand.",
            config_id=config.id,
        )  # fmt: skip


def _age(config: Config, found: objectives.Age, now: datetime) -> timedelta:
    """Return the age of the newest point, or, if that is less, for how long there could have been one: a
    schedule that was just resumed or changed has not come yet."""
    since = now - max(filter(None, (config.created_at, config.scheduled_since)))
    return since if found.age is None else min(found.age, since)


def _retention(now: datetime) -> Iterator[Silence]:
    """Look whether the daily clean-up has come to its end lately."""
    done = select(func.max(Job.ended_at)).where(
        Job.kind == "retention", Job.config_id.is_(None), Job.status.in_(("completed", "warning"))
    )
    first = select(func.min(Point.created_at)).where(Point.config_id.is_not(None))
    since = db.session.scalar(done) or db.session.scalar(first)
    if since is None or abs(now - since) <= RETENTION_EVERY:
        return
    yield Silence(
        "retention:", "error",
        f"Retention has not run to its end for {_hours(now - since)}.",
        "No point is removed, so storages fill up. Nothing is lost.",
        "Look at its last jobs, then run `flask backup cleanup`.",
    )  # fmt: skip


def _unkept(now: datetime) -> Iterator[Silence]:
    """Look for points that retention should have removed and has not; the brake has an alert of its own."""
    every = configs.list_all()
    looked = standings.look(every, now)
    for config in every:
        for found in looked[config.id]:
            row = found.destination
            if not (found.overdue or found.lasting) or _is_braked(config, row.repository_id):
                continue
            if row.repository.storage.unreachable_since is not None:
                continue
            yield Silence(
                f"unkept:{config.id}:{row.repository_id}", "warning",
                f"Retention of {config.name} did not remove what it should have. {found.text}",
                "They go on using space. Nothing is lost.",
                "Look at the log of the last retention job, then run `flask backup cleanup`.",
                config_id=config.id,
            )  # fmt: skip


def _is_braked(config: Config, repository_id: str) -> bool:
    return alerts.is_open(f"brake:{config.id}") or alerts.is_open(f"brake:{config.id}:{repository_id}")


def _hours(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return words.count(hours, "hour") if hours < 72 else words.count(hours // 24, "day")
