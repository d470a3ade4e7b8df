"""Copies between destinations: what each of them lacks, and the jobs that fill it in.

A destination *wants* the points that its own rule would keep of all good points of its config. What it wants
and has no live copy of is *missing* there, whether it was never copied, went to another destination because
this one was down, or was lost. Copying goes in every direction; the first destination is no exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from core import words
from core.configs import destinations
from core.configs.destinations import AFTER
from core.db import db, utc_now, write
from core.errors import Conflict, Refused
from core.jobs import jobs
from core.models import Config, Destination, Job, Point, Storage
from core.models.job import PENDING
from core.points import points
from core.retention import retention
from core.schedules import run_times

# A copy that failed is tried again by itself after so long; gaps that nobody asked to fill are looked for
# as often as this.
TRY_AGAIN_AFTER = timedelta(hours=1)
LOOK_EVERY_MINUTES = 10
# What is missing for longer than this, since it could have been copied, makes its config Degraded.
GRACE = timedelta(hours=2)
_LOOK_BACK = timedelta(days=40)
_BAD = ("failed", "warning", "interrupted", "cancelled")


@dataclass(frozen=True, slots=True)
class Gap:
    """One destination of a config: what it has and what it lacks, the newest first.

    `why`: why nothing can be copied there now, "" if it can. `job`: the copy that waits or runs. `late`: it
    lacks something that should have been there by now. `failed`: the last copy, if that is why.
    """

    destination: Destination
    storage: Storage
    reachable: bool
    why: str
    points: int
    missing: Sequence[Point]
    last_copied_at: datetime | None
    job: Job | None
    late: bool
    failed: Job | None = None

    @property
    def text(self) -> str:
        """Say it."""
        name = self.storage.name
        if self.why:
            return words.ended(self.why)
        if not self.missing:
            return f"{name} has every point that its rule keeps."
        lacking = f"{name} lacks {words.count(len(self.missing), 'point')} that its rule keeps."
        return f"{lacking} Copying them now." if self.job is not None else lacking


def gaps(config: Config, now: datetime | None = None) -> list[Gap]:
    """Return what each destination of a config has and lacks, in order."""
    good = points.good_points(config.id)
    return [_gap(destination, good, now or utc_now()) for destination in config.destinations]


def sync(destination_id: int, trigger: str = "manual") -> Job:
    """Make a queued copy of all that a destination lacks; the caller enqueues it.

    Raises NotFound; Conflict while one is queued or running; Refused if nothing is missing.
    """
    destination = destinations.get(destination_id)
    if not retention.missing(destination, points.good_points(destination.config_id)):
        name = destination.repository.storage.name
        raise Refused(f"Nothing is missing on {name}: it has every point that its rule keeps.")
    with write() as session:
        return _add(session, session.get_one(Destination, destination_id), trigger)


def follow(config_id: str) -> list[int]:
    """Make the copies that follow a backup of a config; return their jobs, to be enqueued."""
    config = db.session.get(Config, config_id)
    if config is None or config.deleted_at is not None:
        return []
    return _start([gap.destination.id for gap in gaps(config) if _is_to_fill(gap)], "backup")


def tick(now: datetime) -> list[int]:
    """Make the copies that are due by the clock, and those that fill gaps left behind; return their jobs."""
    db.session.rollback()
    _forget_what_the_clock_made_up(now)
    found: list[int] = []
    for config in db.session.scalars(select(Config).where(Config.deleted_at.is_(None), Config.enabled)).all():
        if len(config.destinations) > 1 and not run_times.is_quiet(config, now):
            found += _tick_config(config, now)
    return found


def last_job(destination: Destination) -> Job | None:
    """Return the newest copy job that has ended there, for this config."""
    query = _copies_to(destination).where(Job.status.not_in(PENDING)).order_by(Job.id.desc())
    return db.session.scalar(query.limit(1))


def pending_job(destination: Destination) -> Job | None:
    """Return the copy that is queued or runs there, for this config."""
    return db.session.scalar(_copies_to(destination).where(Job.status.in_(PENDING)).limit(1))


def _gap(destination: Destination, good: Sequence[Point], now: datetime) -> Gap:
    repository_id, storage = destination.repository_id, destination.repository.storage
    missing = retention.missing(destination, good)
    there = sum(1 for point in good if points.live_copy_on(point, repository_id) is not None)
    job = pending_job(destination)
    return Gap(
        destination, storage, storage.unreachable_since is None, _why_not(storage), there, missing,
        destination.copied_at, job, bool(missing) and _is_late(destination, missing, now),
        _failed(destination) if missing and job is None else None,
    )  # fmt: skip


def _failed(destination: Destination) -> Job | None:
    last = last_job(destination)
    return last if last is not None and last.status in _BAD[:3] else None


def _why_not(storage: Storage) -> str:
    if storage.unreachable_since is not None:
        return f"{storage.name} is unreachable: {storage.unreachable_reason}"
    if storage.quota_bytes and (storage.used_bytes or 0) >= storage.quota_bytes:
        return f"{storage.name} is full: its quota of {words.size(storage.quota_bytes)} is used up"
    return ""


def _is_late(destination: Destination, missing: Sequence[Point], now: datetime) -> bool:
    """Tell whether the oldest of what is missing should have been copied by now."""
    made_at = min(point.created_at for point in missing)
    if destination.copy_when == AFTER:
        return now - made_at > GRACE
    due_at = run_times.last(run_times.for_copies(destination), now - GRACE, within=_LOOK_BACK)
    return due_at is not None and made_at < due_at


def _is_to_fill(gap: Gap) -> bool:
    return bool(gap.missing) and not gap.why and gap.job is None and gap.destination.copy_when == AFTER


def _tick_config(config: Config, now: datetime) -> list[int]:
    due = [each.id for each in config.destinations if _is_due(each, now)]
    if due:
        _note_looked(due, now)
    wanted = set(due)
    if now.minute % LOOK_EVERY_MINUTES == 0:
        wanted |= {each.id for each in config.destinations if _may_try_again(each, now)}
    if not wanted:
        return []
    chosen = [gap for gap in gaps(config, now) if gap.destination.id in wanted]
    return _start(
        [gap.destination.id for gap in chosen if gap.missing and not gap.why and gap.job is None], "schedule"
    )


def _is_due(destination: Destination, now: datetime) -> bool:
    """Tell whether its cron line has come. While nothing can be copied there it stays due."""
    if destination.copy_when == AFTER or _why_not(destination.repository.storage):
        return False
    due_at = run_times.last(run_times.for_copies(destination), now, within=_LOOK_BACK)
    return due_at is not None and due_at > (destination.scheduled_since or now)


def _may_try_again(destination: Destination, now: datetime) -> bool:
    """Tell whether a gap may be filled by itself: after each backup, or again after a copy that failed."""
    job = last_job(destination)
    if destination.copy_when != AFTER and (job is None or job.status not in _BAD[:3]):
        return False
    if job is None or job.ended_at is None:
        return True
    # One that ended in the future ended under a wrong clock.
    return not -points.CLOCK_SLACK < now - job.ended_at < TRY_AGAIN_AFTER


def _forget_what_the_clock_made_up(now: datetime) -> None:
    """Take back that cron lines were looked at in times to come: the clock was ahead."""
    ahead = Destination.scheduled_since > now + points.CLOCK_SLACK
    if db.session.scalar(select(Destination.id).where(ahead).limit(1)) is None:
        return
    with write() as session:
        session.execute(update(Destination).where(ahead).values(scheduled_since=now))


def _note_looked(destination_ids: Sequence[int], now: datetime) -> None:
    with write() as session:
        for destination_id in destination_ids:
            session.get_one(Destination, destination_id).scheduled_since = now


def _start(destination_ids: Iterable[int], trigger: str) -> list[int]:
    started = []
    for destination_id in destination_ids:
        try:
            with write() as session:
                started.append(_add(session, session.get_one(Destination, destination_id), trigger).id)
        except Conflict:
            continue  # somebody else has just made one
    return started


def _add(session: Session, destination: Destination, trigger: str) -> Job:
    config_id, repository_id = destination.config_id, destination.repository_id
    session.get_one(Config, config_id, with_for_update=True)
    pending = session.scalar(_copies_to(destination).where(Job.status.in_(PENDING)).limit(1))
    if pending is not None:
        raise Conflict(
            f"{destination.repository.storage.name} is being filled already: job {pending.id} is "
            f"{pending.status}.",
            "Wait until it has ended, or cancel it.",
        )
    return jobs.add_job(
        session, kind="copy", trigger=trigger, config_id=config_id, repository_id=repository_id,
        parameters={"destination_id": destination.id},
    )  # fmt: skip


def _copies_to(destination: Destination) -> Select[Job]:
    return select(Job).where(
        Job.kind == "copy", Job.config_id == destination.config_id,
        Job.repository_id == destination.repository_id,
    )  # fmt: skip
