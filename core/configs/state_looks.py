"""What is to be said of one config: the first that holds of paused, running, failing, late and so on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core import words
from core.backups import copying, failover
from core.configs import latest
from core.configs.config_facts import CELLS
from core.configs.latest import Latest
from core.db import db
from core.models import Config, Job, Point, Storage
from core.points import points
from core.schedules import pause, run_times
from core.storages import storages

Word = Literal["Paused", "Running", "Failing", "Late", "Degraded", "New", "Protected"]

# How long after its due time a run may end before its config is Late.
GRACE = timedelta(hours=1)
# A backup queued for longer is not "about to start": perhaps nobody works.
ABOUT_TO_START = timedelta(minutes=2)
_LOOK_BACK = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class State:
    """The first word that holds, and why, in a sentence; `job_id` where one is meant."""

    word: Word
    reason: str
    job_id: int | None = None

    @property
    def needs_person(self) -> bool:
        """Tell whether somebody has to do something."""
        return self.word in ("Failing", "Late")


def first(config: Config, known: Latest, now: datetime, held: pause.Pause | None) -> State | None:
    """Return what is to be said of a config; None if it is new or protected, or lacks copies."""
    if not config.enabled:
        return State("Paused", "Its schedule is switched off; it runs only when started by hand.")
    if config.cron and held is not None:
        return State("Paused", f"All schedules are paused {held.words(config.timezone)}.")
    for look in (_running, _failing, _late):
        if (found := look(config, known, now)) is not None:
            return found
    return _destination_down(config)


def calm(known: Latest) -> State:
    point = known.point
    if point is None:
        return State("New", "There is no good point yet.")
    return State("Protected", _completeness(point), point.job_id)


def _completeness(point: Point) -> str:
    if not point.warnings:
        return "The last backup is complete."
    job = db.session.get(Job, point.job_id) if point.job_id else None
    if job is None or job.status not in latest.GOOD:
        return "The last point is of a job that was killed: what it could not read is not known."
    return f"The last backup left out {words.count(point.warnings, 'thing')}."


def _running(config: Config, known: Latest, now: datetime) -> State | None:
    job = known.pending
    if job is None:
        return None
    if job.status == "running":
        return State("Running", "A backup is running now.", job.id)
    if not job.waiting_reason and now - job.created_at < ABOUT_TO_START:
        return State("Running", "A backup is about to start.", job.id)
    return None  # it waits: what is true without it is said


def _failing(config: Config, known: Latest, now: datetime) -> State | None:
    storage = storage_of(config)
    if storage.unreachable_since is not None and not _can_go_elsewhere(config):
        return State("Failing", unreachable(f"Its storage {storage.name}", storage))
    point, job, run = known.point, known.ended, known.noted
    if job is not None and CELLS[job.status] == "failed":
        return State("Failing", job.summary or f"The last backup {job.status}.", job.id)
    if run is not None and run.job_id is None and not (job and job.ended_at and job.ended_at >= run.due_at):
        return State("Failing", f"A run was missed: {run.missed_reason}")
    if job is None:
        return None
    if point is None:
        return State("Failing", "Backups ended well, but none of their points is left.", job.id)
    if point.job_id != job.id and (gone := points.why_gone(job.id)):
        return State("Failing", f"The point of the last backup {gone}.", job.id)
    return None


def _late(config: Config, known: Latest, now: datetime) -> State | None:
    """Look for a due time, older than the grace, since which no backup has ended well."""
    due_at = run_times.last(run_times.of(config), now - GRACE, within=_LOOK_BACK)
    if due_at is None or due_at <= (config.scheduled_since or now):
        return None
    waiting, run = known.pending, known.noted
    if known.good_at is not None and known.good_at >= due_at:
        return None
    if waiting is not None:
        return State("Late", waiting.waiting_reason or "Its backup waits in the queue.", waiting.id)
    if run is None or run.due_at < due_at:
        if (free_at := run_times.free_from(config, now)) != now:
            when = words.moment(free_at, config.timezone)
            return State("Late", f"A run is made up for when quiet hours end, {when}.")
        return State("Late", "Its run was due and nothing has started it: is the worker running?")
    return State("Late", "No backup has ended well since its last run was due.")


def _can_go_elsewhere(config: Config) -> bool:
    """Tell whether a backup would find a destination that answers."""
    records = [storages.get_repository(record_id) for record_id in failover.candidates(config.id)]
    return any(record.storage.unreachable_since is None for record in records)


def _destination_down(config: Config) -> State | None:
    if len(config.destinations) < 2:
        return None
    for storage in [row.repository.storage for row in config.destinations]:
        if storage.unreachable_since is not None:
            return State("Degraded", unreachable(storage.name, storage))
    return None


def lacking(config: Config, now: datetime) -> State | None:
    """Look for a destination that lacks what should have been copied there by now."""
    if len(config.destinations) < 2:
        return None
    late = next((gap for gap in copying.gaps(config, now) if gap.late), None)
    return State("Degraded", late.text, late.job.id if late.job else None) if late else None


def unreachable(name: str, storage: Storage) -> str:
    return words.ended(f"{name} is unreachable: {storage.unreachable_reason}")


def storage_of(config: Config) -> Storage:
    return config.destinations[0].repository.storage
