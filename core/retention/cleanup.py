"""Retention as a job: points go to the trash by the rule, and out of it after seven days."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from core import clock, words
from core.alerting import alerts
from core.db import db, utc_now
from core.errors import HoldfastError, Unreachable
from core.jobs import attempts, jobs
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Config, Copy, Destination, Job, Point
from core.points import points
from core.points.reconcile import reconcile
from core.retention import retention, trash
from core.storages import providers, storages
from repository.errors import Cancelled, Locked, RepositoryError
from repository.progress import Progress
from storage_adapters.errors import StorageError

DAILY = timedelta(hours=24)


@dataclass(slots=True)
class _Done:
    trashed: int = 0
    removed: int = 0
    lost: int = 0
    braked: list[str] = field(default_factory=list)
    found: set[int] = field(default_factory=set)  # points that this run took over: each stays until the next
    full: list[str] = field(default_factory=list)  # storages whose trash should have been emptied long ago
    away: dict[str, Unreachable] = field(default_factory=dict)  # by storage


def create_daily(now: datetime | None = None) -> Job | None:
    """Make the day's retention job for all configs, unless there was one within 24 h or nothing to keep."""
    now = now or utc_now()
    newest = select(Job.created_at).where(Job.kind == "retention", Job.config_id.is_(None))
    last = db.session.scalar(newest.order_by(Job.id.desc()).limit(1))
    # One made in the future was made under a wrong clock: the next would wait until then.
    if last is not None and -points.CLOCK_SLACK < now - last < DAILY:
        return None
    if clock.is_settling() or db.session.scalar(select(Point.id).limit(1)) is None:
        return None
    return jobs.create_retention("schedule")


def perform_retention(attempt: Attempt) -> Outcome:
    """Apply the rules of one config, or of all; empty the trash; end the job and return how."""
    clock.require_trusted("no point is removed")
    job = attempts.current(attempt)
    done = _Done()
    confirmed = _confirmed(job)
    places = _places(job.config_id)
    errors = [
        error
        for repository_id, config_ids in places.items()
        if (error := _try_repository(attempt, repository_id, config_ids, confirmed, done))
    ]
    if errors:  # a lock is waited for only if nothing worse happened
        raise min(errors, key=lambda error: isinstance(error, Locked))
    if done.away and len(done.away) == len(places):
        raise next(iter(done.away.values()))
    outcome = _outcome(done)
    attempts.finish(attempt, outcome)
    return outcome


def _confirmed(job: Job) -> int:
    """Return how many points a person let go at once: none, so many, or as many as the rules say."""
    if not job.parameters.get("confirmed"):
        return 0
    most = job.parameters.get("most")
    return sys.maxsize if most is None else int(most)


def _places(config_id: str | None) -> dict[str, list[str]]:
    """Return the configs to look at by repository; all repositories when it is about all configs."""
    query = select(Destination.repository_id, Config.id).join(Config).where(Config.deleted_at.is_(None))
    if config_id is not None:
        query = query.where(Config.id == config_id)
    places: dict[str, list[str]] = {}
    if config_id is None:
        places = {record.id: [] for record in storages.list_repositories()}
    for repository_id, found in db.session.execute(query):
        places.setdefault(repository_id, []).append(found)
    return places


def _try_repository(
    attempt: Attempt, repository_id: str, config_ids: Sequence[str], confirmed: int, done: _Done
) -> Exception | None:
    """Clean one repository; return what kept it from that, so that one dead storage stops no other.

    That a storage is out of reach is noted in `done`: it has an alert of its own, and a later run cleans it.
    """
    attempt.check()
    try:
        _clean_repository(attempt, repository_id, config_ids, confirmed, done)
    except Cancelled:
        raise
    except Unreachable as error:
        attempt.log.add("warning", error.message)
        done.away[storages.get_repository(repository_id).storage.name] = error
    except (HoldfastError, RepositoryError, StorageError) as error:
        attempt.log.add("error", str(error))
        return error
    return None


def _clean_repository(
    attempt: Attempt, repository_id: str, config_ids: Sequence[str], confirmed: int, done: _Done
) -> None:
    record = storages.get_repository(repository_id)
    if record.storage.unreachable_since is not None:
        # A quick look: to try for as long as with one that is expected to answer would hold up all others.
        storages.open_adapter(record.storage, providers.QUICK).close()
    repo = storages.open_repository(record)
    try:
        attempt.report(Progress("looking"))
        findings = reconcile(repo, storages.get_repository(repository_id), attempt.job_id)
        done.lost += len(findings.lost)
        done.found.update(findings.adopted)
        for config_id in config_ids:
            trash.rescue(config_id)
            _apply(attempt, config_id, repository_id, confirmed, done)
        removed, full = trash.empty(attempt, repo, repository_id)
        done.removed += removed
        done.full += full
    finally:
        repo.close()


def _apply(attempt: Attempt, config_id: str, repository_id: str, confirmed: int, done: _Done) -> None:
    """Apply the rule that a config has for this repository to the points it has there."""
    config = db.session.get_one(Config, config_id)
    destination = next((row for row in config.destinations if row.repository_id == repository_id), None)
    if destination is None:
        return  # taken out of the config this very moment
    if _has_damaged(config_id, repository_id):
        attempt.log.add("warning", f"{config.name}: nothing is trashed while a snapshot of it is damaged.")
        return
    decisions = retention.plan(config, destination=destination)
    place = f" on {destination.repository.storage.name}" if len(config.destinations) > 1 else ""
    leaving = [each for each in decisions if not each.keep and each.point.id not in done.found]
    _tell_future(config, [each.point for each in decisions if points.is_from_future(each.point)])
    subject = f"brake:{config_id}:{repository_id}" if destination.position else f"brake:{config_id}"
    if len(leaving) > confirmed and retention.is_braked(len(leaving), len(decisions)):
        done.braked.append(config.name)
        _tell_brake(subject, config, place, len(leaving), len(decisions))
        return
    alerts.resolve(subject)
    reasons = {each.point.id: each.reason for each in leaving}
    done.trashed += trash.throw_in(repository_id, reasons, config_id)
    for decision in leaving:
        when = words.moment(decision.point.taken_at, config.timezone)
        attempt.log.add("info", f"{config.name}: the point of {when} is trashed{place}: {decision.reason}.")


def _has_damaged(config_id: str, repository_id: str) -> bool:
    """Tell whether a point that counted has a copy here that cannot be read, or has no other that can:
    the other points may be all there is."""
    copies = db.session.scalars(select(Copy).join(Point).where(Point.config_id == config_id))
    return any(
        points.is_there(copy)
        and copy.damaged_at is not None
        and copy.trashed_at is None
        and (copy.repository_id == repository_id or not points.is_good(copy.point))
        for copy in copies
    )


def _tell_future(config: Config, found: Sequence[Point]) -> None:
    subject = f"future:{config.id}"
    if not found:
        alerts.resolve(subject)
        return
    when = words.moment(found[0].taken_at, config.timezone)
    alerts.raise_alert(
        subject, "clock", "warning",
        f"{words.count(len(found), 'point')} of {config.name} {'is' if len(found) == 1 else 'are'} dated "
        f"in the future: {when}.",
        "Retention leaves it alone, and it counts neither as the last good point nor as a full read.",
        "See that the clocks are right, then run a backup. If the point is not needed, remove it with "
        f"`python -m repository forget {found[0].copies[0].snapshot_id[:8]}`.",
        config_id=config.id,
    )  # fmt: skip


def _tell_brake(subject: str, config: Config, place: str, leaving: int, total: int) -> None:
    alerts.raise_alert(
        subject, "retention", "warning",
        f"Retention of {config.name} would remove {leaving} of {total} points{place} at once, so it removed "
        "none.",
        "All points are still there and go on using space.",
        "Look at its rule. If it is meant, an admin confirms it on the config's page, or runs "
        f"`flask backup cleanup --config {shlex.quote(config.name)} --confirm`.",
        config_id=config.id,
    )  # fmt: skip


def _outcome(done: _Done) -> Outcome:
    summary = (
        f"{words.count(done.trashed, 'point')} went to the trash, "
        f"{words.count(done.removed, 'point')} left it after seven days."
    )
    if done.away:
        summary += f" Nothing was looked at on {' and '.join(done.away)}, which cannot be reached."
    meaning = (
        "What is in the trash can still be restored. The space of what left it is freed by a prune, which "
        "begins by itself when it pays."
    )
    counts = {"trashed": done.trashed, "removed": done.removed, "lost": done.lost}
    if done.braked:
        return Outcome(
            "warning",
            f"{summary} Stopped by the brake: {', '.join(done.braked)}.",
            "More than half of the points would have gone at once, so none of these configs' points did.",
            "Look at their rules. If they are meant, an admin confirms them on the config's page, or runs "
            "`flask backup cleanup --confirm`.",
            counts=counts,
        )
    if done.full:
        return Outcome(
            "warning",
            f"{summary} The trash on {', '.join(done.full)} could not be emptied for more than a day.",
            "Jobs of Holdfast use the repository all the time. What is in the trash goes on using space.",
            "See which jobs run there. Cancel one that hangs, then run `flask backup cleanup`.",
            counts=counts,
        )
    if done.lost:
        return Outcome(
            "warning", f"{summary} {words.count(done.lost, 'point')} were removed by another program.",
            "These cannot be restored any more.", "Find out who removes snapshots from the repository.",
            counts=counts,
        )  # fmt: skip
    if done.away:
        return Outcome(
            "warning", summary, "What is there stays as it is until a later run.",
            "Connect the storage; nothing else has to be done.", counts=counts,
        )  # fmt: skip
    return Outcome("completed", summary, meaning, counts=counts)
