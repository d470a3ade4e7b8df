"""How safe each config is: one state with its reason, the strip of days, and the verdict over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from core import alerts, configs, points, schedules, storages, words
from core.db import UtcDateTime, db, utc_now
from core.models import Config, Job, Point, ScheduledRun, Storage
from core.models.job import PENDING

Word = Literal["Paused", "Running", "Failing", "Late", "New", "Protected"]
Cell = Literal["good", "warning", "failed", "missed", "none"]

# How long after its due time a run may end before its config is Late.
GRACE = timedelta(hours=1)
# A backup queued for longer is not "about to start": perhaps nobody works.
ABOUT_TO_START = timedelta(minutes=2)
_LOOK_BACK = timedelta(days=40)
_CELLS: dict[str, Cell] = {
    "completed": "good",
    "warning": "warning",
    "failed": "failed",
    "interrupted": "failed",
}
_GOOD = ("completed", "warning")
# The worst of a day is shown. Cancelled by a person is no outcome.
_RANK: tuple[Cell, ...] = ("none", "good", "warning", "missed", "failed")


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


@dataclass(frozen=True, slots=True)
class Day:
    """One cell of the strip: the worst that happened on a day of the config's own time zone."""

    day: date
    status: Cell
    job_id: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers of one config. None is unknown or never, and is shown as that."""

    last_good: Point | None
    next_run: datetime | None
    good_points: int
    source_bytes: int | None
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that needs a person, with what to link to."""

    text: str
    config_id: str | None = None
    job_id: int | None = None
    storage_id: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first line of the Overview. `level`: good, warning (protected, but for what a backup left out),
    waiting (nothing is wrong, not all is protected yet), attention. `sentence` tells no times:
    `last_backup_at` is for the page to word."""

    level: Literal["good", "warning", "waiting", "attention"]
    sentence: str
    reasons: Sequence[Reason]
    last_backup_at: datetime | None


def state(config: Config, now: datetime | None = None) -> State:
    """Return the state of a config: the first that holds."""
    now = now or utc_now()
    if not config.enabled:
        return State("Paused", "Its schedule is switched off; it runs only when started by hand.")
    for look in (_running, _failing, _late):
        if (found := look(config, now)) is not None:
            return found
    point = points.latest(config.id)
    if point is None:
        return State("New", "There is no good point yet.")
    return State("Protected", _completeness(point), point.job_id)


def strip(config: Config, days: int = 30, now: datetime | None = None) -> list[Day]:
    """Return the last `days` days, the oldest first, today last."""
    zone = ZoneInfo(config.timezone)
    today = (now or utc_now()).astimezone(zone).date()
    cells = {today - timedelta(days=back): Day(today - timedelta(days=back), "none") for back in range(days)}
    since = datetime.combine(today - timedelta(days=days), datetime.min.time(), zone)
    for moment, status, job_id in [*_ended_runs(config, since), *_missed_runs(config, since)]:
        day = moment.astimezone(zone).date()
        if day in cells and _RANK.index(status) >= _RANK.index(cells[day].status):
            cells[day] = Day(day, status, job_id)
    return [cells[day] for day in sorted(cells)]


def facts(config: Config, now: datetime | None = None) -> Facts:
    """Return the numbers of a config."""
    sums = select(func.count(Point.id), func.coalesce(func.sum(Point.bytes_added), 0)).where(
        Point.config_id == config.id, Point.copies.any(points.live())
    )
    good_points, stored_bytes = db.session.execute(sums).one()
    last_good = points.latest(config.id)
    upcoming = (
        schedules.next_runs(config.cron, config.timezone, 1, now or utc_now()) if config.enabled else []
    )
    return Facts(
        last_good=last_good,
        next_run=upcoming[0] if upcoming else None,
        good_points=good_points,
        source_bytes=last_good.bytes if last_good else None,
        stored_bytes=int(stored_bytes),
    )


def verdict(now: datetime | None = None, *, shown: Sequence[tuple[Config, State]] | None = None) -> Verdict:
    """Return what the first line of the Overview says, over all configs and all storages.

    `shown`: the state of each config, from a caller that has them already.
    """
    now = now or utc_now()
    if shown is None:
        shown = [(config, state(config, now)) for config in configs.list_all()]
    reasons = [*_storage_reasons(), *_config_reasons(shown), *_alert_reasons(shown)]
    newest = [point.taken_at for config, _ in shown if (point := points.latest(config.id)) is not None]
    last = max(newest, default=None)
    if reasons:
        return Verdict("attention", _attention(shown, reasons), reasons, last)
    if not shown:
        return Verdict("waiting", "Nothing is backed up yet.", [], last)
    incomplete, left_out = _left_out(shown)
    open_ends = [config.name for config, found in shown if not _is_protected(config, found)]
    if open_ends:
        return Verdict("waiting", _not_yet(open_ends, len(shown)), incomplete, last)
    if incomplete:
        missing = f"{words.count(left_out, 'thing')} that could not be read"
        return Verdict("warning", f"{_all(len(shown))} protected, except for {missing}.", incomplete, last)
    return Verdict("good", f"{_all(len(shown))} protected.", [], last)


def _completeness(point: Point) -> str:
    if not point.warnings:
        return "The last backup is complete."
    job = db.session.get(Job, point.job_id) if point.job_id else None
    if job is None or job.status not in _GOOD:
        return "The last point is of a job that was killed: what it could not read is not known."
    return f"The last backup left out {words.count(point.warnings, 'thing')}."


def _running(config: Config, now: datetime) -> State | None:
    query = select(Job).where(Job.config_id == config.id, Job.kind == "backup", Job.status.in_(PENDING))
    job = db.session.scalar(query.order_by(Job.id.desc()).limit(1))
    if job is None:
        return None
    if job.status == "running":
        return State("Running", "A backup is running now.", job.id)
    if not job.waiting_reason and now - job.created_at < ABOUT_TO_START:
        return State("Running", "A backup is about to start.", job.id)
    return None  # it waits: what is true without it is said


def _failing(config: Config, now: datetime) -> State | None:
    storage = config.destinations[0].repository.storage
    if storage.unreachable_since is not None:
        return State("Failing", _unreachable(f"Its storage {storage.name}", storage))
    point = points.latest(config.id)
    job = _last_ended(config)
    if job is not None and _CELLS[job.status] == "failed":
        return State("Failing", job.summary or f"The last backup {job.status}.", job.id)
    missed = _last_missed(config, now)
    if missed is not None and not (job and job.ended_at and job.ended_at >= missed.due_at):
        return State("Failing", f"A run was missed: {missed.missed_reason}")
    if job is not None and point is None:
        return State("Failing", "Backups ended well, but none of their points is left.", job.id)
    if job is not None and (gone := points.why_gone(job.id)):
        return State("Failing", f"The point of the last backup {gone}.", job.id)
    return None


def _late(config: Config, now: datetime) -> State | None:
    """Look for a due time, older than the grace, since which no backup has ended well."""
    due_at = schedules.last_run(config.cron, config.timezone, now - GRACE, within=_LOOK_BACK)
    if due_at is None or due_at <= (config.scheduled_since or now):
        return None
    backups = select(Job).where(Job.config_id == config.id, Job.kind == "backup")
    good = backups.where(Job.status.in_(_GOOD), Job.ended_at >= due_at)
    if db.session.scalar(good.limit(1)) is not None:
        return None
    waiting = db.session.scalar(backups.where(Job.status == "queued").limit(1))
    if waiting is not None:
        return State("Late", waiting.waiting_reason or "Its backup waits in the queue.", waiting.id)
    noted = select(ScheduledRun.id).where(ScheduledRun.config_id == config.id, ScheduledRun.due_at >= due_at)
    if db.session.scalar(noted.limit(1)) is None:
        return State("Late", "Its run was due and nothing has started it: is the worker running?")
    return State("Late", "No backup has ended well since its last run was due.")


def _last_ended(config: Config) -> Job | None:
    query = select(Job).where(Job.config_id == config.id, Job.kind == "backup", Job.status.in_(_CELLS))
    return db.session.scalar(query.order_by(Job.ended_at.desc(), Job.id.desc()).limit(1))


def _last_missed(config: Config, now: datetime) -> ScheduledRun | None:
    """Return the newest run that was noted, if it was missed."""
    query = select(ScheduledRun).where(ScheduledRun.config_id == config.id, ScheduledRun.due_at <= now)
    run = db.session.scalar(query.order_by(ScheduledRun.due_at.desc()).limit(1))
    return run if run is not None and run.job_id is None else None


def _ended_runs(config: Config, since: datetime) -> list[tuple[datetime, Cell, int | None]]:
    began = func.coalesce(Job.started_at, Job.created_at, type_=UtcDateTime())
    query = select(began, Job.status, Job.id).where(
        Job.config_id == config.id, Job.kind == "backup", Job.status.in_(_CELLS), Job.ended_at >= since
    )
    return [(at, _CELLS[status], job_id) for at, status, job_id in db.session.execute(query.order_by(Job.id))]


def _missed_runs(config: Config, since: datetime) -> list[tuple[datetime, Cell, int | None]]:
    query = select(ScheduledRun.due_at).where(
        ScheduledRun.config_id == config.id, ScheduledRun.job_id.is_(None), ScheduledRun.due_at >= since
    )
    return [(due_at, "missed", None) for due_at in db.session.scalars(query)]


def _storage_reasons() -> list[Reason]:
    return [
        Reason(_unreachable(storage.name, storage), storage_id=storage.id)
        for storage in storages.list_all()
        if storage.unreachable_since is not None
    ]


def _unreachable(name: str, storage: Storage) -> str:
    return words.ended(f"{name} is unreachable: {storage.unreachable_reason}")


def _config_reasons(shown: Sequence[tuple[Config, State]]) -> list[Reason]:
    """Name each config that needs somebody; one whose storage is named already is not named again."""
    return [
        Reason(f"{config.name}: {found.reason}", config_id=config.id, job_id=found.job_id)
        for config, found in shown
        if found.needs_person and not _storage_of(config).unreachable_since
    ]


def _alert_reasons(shown: Sequence[tuple[Config, State]]) -> list[Reason]:
    """Name each open error that no state shows: a damaged or lost snapshot, a restore, retention."""
    named = {config.id for config, found in shown if found.needs_person}
    return [
        Reason(alert.what, config_id=alert.config_id, job_id=alert.job_id, storage_id=alert.storage_id)
        for alert in alerts.list_open()
        if alert.severity == "error" and alert.kind != "unreachable" and alert.config_id not in named
    ]


def _left_out(shown: Sequence[tuple[Config, State]]) -> tuple[list[Reason], int]:
    """Name each config whose last good point lacks something; return how many things that are in all."""
    reasons, total = [], 0
    for config, _ in shown:
        point = points.latest(config.id)
        if point is not None and point.warnings:
            text = f"{config.name}: the last backup left out {words.count(point.warnings, 'thing')}."
            reasons.append(Reason(text, config_id=config.id, job_id=point.job_id))
            total += point.warnings
    return reasons, total


def _attention(shown: Sequence[tuple[Config, State]], reasons: Sequence[Reason]) -> str:
    number = sum(found.needs_person for _, found in shown)
    if number == 0:
        only_storages = all(reason.storage_id and not reason.config_id for reason in reasons)
        things = words.count(len(reasons), "storage" if only_storages else "thing")
        return f"{things} {'needs' if len(reasons) == 1 else 'need'} you."
    return f"{words.count(number, 'config')} {'needs' if number == 1 else 'need'} you."


def _not_yet(names: Sequence[str], total: int) -> str:
    if len(names) == 1:
        return f"{names[0]} is not protected yet." if total == 1 else f"All but {names[0]} are protected."
    if len(names) == total:
        return f"None of your {total} configs is protected yet."
    return f"{total - len(names)} of {total} configs are protected."


def _is_protected(config: Config, found: State) -> bool:
    if found.word == "Running":
        return points.latest(config.id) is not None
    return found.word == "Protected"


def _all(number: int) -> str:
    return "Your config is" if number == 1 else f"All {number} configs are"


def _storage_of(config: Config) -> Storage:
    return config.destinations[0].repository.storage
