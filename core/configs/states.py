"""How safe each config is: one state with its reason, the strip of days, and the verdict over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from core import app_state, words
from core.alerting import alerts
from core.backups import copying, failover
from core.configs import configs, latest
from core.configs.config_facts import CELLS
from core.configs.config_facts import Day as Day
from core.configs.config_facts import Facts as Facts
from core.configs.config_facts import facts as facts
from core.configs.config_facts import facts_of as facts_of
from core.configs.config_facts import strip as strip
from core.configs.config_facts import strips as strips
from core.configs.latest import Latest
from core.db import db, utc_now
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
    return states([config], now)[config.id]


def states(shown: Sequence[Config], now: datetime | None = None) -> dict[str, State]:
    """Return the state of each config, by its id."""
    now = now or utc_now()
    known, held = latest.of(shown, now), pause.active(now)
    return {config.id: _state(config, known[config.id], now, held) for config in shown}


def _state(config: Config, known: Latest, now: datetime, held: pause.Pause | None) -> State:
    if not config.enabled:
        return State("Paused", "Its schedule is switched off; it runs only when started by hand.")
    if config.cron and held is not None:
        return State("Paused", f"All schedules are paused {held.words(config.timezone)}.")
    for look in (_running, _failing, _late, _degraded):
        if (found := look(config, known, now)) is not None:
            return found
    point = known.point
    if point is None:
        return State("New", "There is no good point yet.")
    return State("Protected", _completeness(point), point.job_id)


def verdict(now: datetime | None = None, *, shown: Sequence[tuple[Config, State]] | None = None) -> Verdict:
    """Return what the first line of the Overview says, over all configs and all storages.

    `shown`: the state of each config, from a caller that has them already.
    """
    now = now or utc_now()
    if shown is None:
        every = configs.list_all()
        found = states(every, now)
        shown = [(config, found[config.id]) for config in every]
    newest = latest.good_points([config.id for config, _ in shown], now)
    last = max((point.taken_at for point in newest.values()), default=None)
    reasons = [*_storage_reasons(), *_config_reasons(shown), *_alert_reasons(shown)]
    if reasons:
        return Verdict("attention", _attention(shown, reasons), reasons, last)
    return _calm_verdict(shown, newest, last, now)


def _calm_verdict(
    shown: Sequence[tuple[Config, State]], newest: Mapping[str, Point], last: datetime | None, now: datetime
) -> Verdict:
    """Return the verdict where nothing needs a person."""
    if not shown:
        return Verdict("waiting", "Nothing is backed up yet.", [], last)
    if (held := pause.active(now)) is not None:
        until = held.words(app_state.settings().timezone)
        return Verdict("waiting", f"Nothing is backed up by itself: all is paused {until}.", [], last)
    incomplete, left_out = _left_out(shown, newest)
    degraded = [
        Reason(f"{config.name}: {found.reason}", config_id=config.id, job_id=found.job_id)
        for config, found in shown
        if found.word == "Degraded"
    ]
    open_ends = [config.name for config, found in shown if not _is_protected(config, found, newest)]
    if open_ends:
        return Verdict("waiting", _not_yet(open_ends, len(shown)), incomplete, last)
    if degraded:
        sentence = f"{_all(len(shown))} protected, but copies are missing."
        return Verdict("warning", sentence, [*degraded, *incomplete], last)
    if incomplete:
        missing = f"{words.count(left_out, 'thing')} that could not be read"
        return Verdict("warning", f"{_all(len(shown))} protected, except for {missing}.", incomplete, last)
    return Verdict("good", f"{_all(len(shown))} protected.", [], last)


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
    storage = _storage_of(config)
    if storage.unreachable_since is not None and not _can_go_elsewhere(config):
        return State("Failing", _unreachable(f"Its storage {storage.name}", storage))
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


def _degraded(config: Config, known: Latest, now: datetime) -> State | None:
    """Look for a destination that is down, or lacks what should have been copied there by now."""
    if len(config.destinations) < 2:
        return None
    for storage in [row.repository.storage for row in config.destinations]:
        if storage.unreachable_since is not None:
            return State("Degraded", _unreachable(storage.name, storage))
    if copying.has_every_point(config):
        return None  # by counting alone: this is asked for all the time
    late = next((gap for gap in copying.gaps(config, now) if gap.late), None)
    return State("Degraded", late.text, late.job.id if late.job else None) if late else None


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


def _left_out(shown: Sequence[tuple[Config, State]], newest: Mapping[str, Point]) -> tuple[list[Reason], int]:
    """Name each config whose last good point lacks something; return how many things that are in all."""
    reasons, total = [], 0
    for config, _ in shown:
        point = newest.get(config.id)
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


def _is_protected(config: Config, found: State, newest: Mapping[str, Point]) -> bool:
    if found.word in ("Running", "Degraded"):
        return config.id in newest
    return found.word == "Protected"


def _all(number: int) -> str:
    return "Your config is" if number == 1 else f"All {number} configs are"


def _storage_of(config: Config) -> Storage:
    return config.destinations[0].repository.storage
