"""Perform a claimed job of any kind, and end its row truthfully whatever happens."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select

from core import spans
from core.alerting import job_alerts
from core.backups import backups, copy_job, copying
from core.configs import configs, timing
from core.db import db
from core.jobs import attempts, jobs, outcomes
from core.jobs.attempts import Attempt, AttemptLost, Stopped, TookTooLong, Waiting, WaitingForJob
from core.jobs.outcomes import Outcome
from core.models import Job, RepositoryRecord, Storage
from core.points import building, built_downloads, catalog_drop, catalog_job, points
from core.restores import restores, restoring
from core.retention import cleanup, pruning
from core.storages import storage_usage, storages
from repository.errors import BlobNotFound, Cancelled, Damaged, Locked, RepositoryError
from storage_adapters.errors import ObjectNotFound, StorageError

_PERFORM: Mapping[str, Callable[[Attempt], Outcome]] = {
    "backup": backups.perform_backup,
    "catalog": catalog_job.perform_fill,
    "copy": copy_job.perform_copy,
    "download": building.perform_build,
    "prune": pruning.perform_prune,
    "restore": restoring.perform_restore,
    "retention": cleanup.perform_retention,
}

KINDS = tuple(sorted(_PERFORM))

_DAMAGE = (Damaged, BlobNotFound, ObjectNotFound)

_log = logging.getLogger(__name__)


def perform(attempt: Attempt) -> list[int]:
    """Do the job, end its row, alert; return the jobs that follow from it, to be enqueued.

    A job that met somebody else's lock is queued again, waiting. Raises AttemptLost if the row is not ours.
    """
    job = attempts.current(attempt)
    kind, config_id = job.kind, job.config_id
    outcome = _try(attempt, kind, config_id)
    if outcome is None:
        return []
    job_alerts.tell(attempt.job_id)
    return _after(attempt.job_id, kind, config_id, outcome.status in ("completed", "warning"))


def _after(job_id: int, kind: str, config_id: str | None, went_well: bool) -> list[int]:
    """Do what follows from a job; return the jobs to be enqueued."""
    job = jobs.get(job_id)
    record = db.session.get(RepositoryRecord, job.repository_id or "")
    if record is not None:
        freed = job.counts.get("bytes_freed", 0) if kind == "prune" else 0
        storage_usage.measure_after(record.storage_id, job.bytes_added - freed)
    if kind == "retention":
        catalog_drop.after_cleanup()
        return pruning.follow()
    if kind != "backup" or not config_id:
        return []
    waiting = restores.release(job_id, config_id)
    if not went_well:
        return waiting
    return [*waiting, jobs.create_retention("backup", config_id).id, *copying.follow(config_id)]


def _try(attempt: Attempt, kind: str, config_id: str | None) -> Outcome | None:
    """Return how the job ended; None if it waits. The row is written in either case."""
    try:
        try:
            return _PERFORM[kind](attempt)
        except (Locked, Waiting) as error:
            reason = _awaited(error)
            endless = isinstance(error, WaitingForJob)
            if attempts.wait_for(attempt, reason, None if endless else attempts.WAIT_AT_MOST):
                return None
            outcome = outcomes.explain(error, _meaning(kind, config_id, error))
            outcome.summary = f"Waited for an hour in vain: {reason}."
            if kind == "prune" and isinstance(error, Waiting):
                outcome = pruning.put_off(outcome.summary)
    except AttemptLost:
        raise
    except TookTooLong:
        outcome = _took_too_long(kind, config_id)
    except Cancelled as error:
        outcome = _cancelled(attempt, kind, stopped=isinstance(error, Stopped))
    except outcomes.EXPECTED as error:
        cause = _behind(error, _used_by(attempt))
        outcome = outcomes.explain(cause, _meaning(kind, config_id, cause))
    except Exception as error:  # noqa: BLE001  (whatever it is, the row must say that the job failed)
        _log.exception("job %s failed", attempt.job_id)
        outcome = outcomes.explain(error, _meaning(kind, config_id, error))
        outcome.detail += "\n\n" + traceback.format_exc()
    attempts.finish(attempt, outcome)
    return outcome


def _used_by(attempt: Attempt) -> Sequence[Storage]:
    """Return the storages that may be behind an error of a job: no other that happens to be away is."""
    db.session.rollback()
    job = attempts.current(attempt)
    record = db.session.get(RepositoryRecord, job.repository_id or "")
    if record is not None:
        return [record.storage]
    if job.kind in ("restore", "download"):
        asked = built_downloads.of_job(job.id) if job.kind == "download" else restores.of_job(job.id)
        point, chosen = asked.point, job.parameters.get("copy_id")
        return [copy.repository.storage for copy in points.in_order(point) if chosen in (None, copy.id)][:1]
    if job.config is not None:
        return [each.repository.storage for each in job.config.destinations]
    return storages.list_all()


def _behind(error: Exception, used: Sequence[Storage]) -> Exception:
    """Return the error, or that a storage of the job has gone, which explains it better."""
    if not isinstance(error, StorageError | RepositoryError):
        return error
    return storages.gone_behind(used, error)


def _cancelled(attempt: Attempt, kind: str, *, stopped: bool) -> Outcome:
    asked = select(Job.cancel_requested_at).where(Job.id == attempt.job_id)
    db.session.rollback()
    meaning = outcomes.half_done(kind)
    if kind == "restore":
        meaning = restores.half_done(attempt.job_id, killed=False)
    if stopped and db.session.scalar(asked) is None:
        return Outcome(
            "interrupted",
            job_alerts.interruption("its process was told to end (Holdfast or the machine was stopped)."),
            meaning,
            "Run it again.",
        )
    return Outcome("cancelled", "Cancelled on request.", meaning)


def _took_too_long(kind: str, config_id: str | None) -> Outcome:
    config = configs.get(config_id, deleted=True) if config_id else None
    longest = spans.say(timing.of(config).max_duration) if config else ""
    return Outcome(
        "failed", f"It was ended after {longest}, the longest that it may take.", outcomes.half_done(kind),
        "See what made it slow. What it has stored is not stored a second time when it runs again. "
        "If it needs so long, raise the limit in its config.",
    )  # fmt: skip


def _awaited(error: Locked | Waiting) -> str:
    return f"the repository is locked by {error.holder}" if isinstance(error, Locked) else error.message


def _meaning(kind: str, config_id: str | None, error: Exception) -> str:
    if kind == "backup" and isinstance(error, _DAMAGE):
        return "No new point was made. Earlier points may share what is damaged, and lack these files, too."
    if kind == "backup":
        return backups.earlier(config_id)
    if kind == "copy":
        return "What it should have copied has no copy there yet. Where it is, nothing was changed."
    if kind in ("catalog", "download"):
        return outcomes.half_done(kind)
    if kind == "restore":
        return "The restore is not complete. The backup itself was not changed."
    return "No point was removed. Space is not freed until this works again."
