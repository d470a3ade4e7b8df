"""Alerts about how jobs ended: raised for bad ends, resolved by good ones. Telling twice is harmless."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from core import words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.models import Alert, Job, RepositoryRecord, Restore
from core.schedules import retries

_TOLD = "told"
_UNTOLD_SINCE = timedelta(days=2)
_BAD = {
    "failed": ("failure", "error"),
    "interrupted": ("interrupted", "error"),
    "warning": ("warning", "warning"),
}
_NAMES = {
    "backup": "The backup", "catalog": "Filling the catalog of search", "copy": "The copy",
    "download": "The download", "prune": "The prune", "restore": "The restore", "retention": "Retention",
}  # fmt: skip
_BY_REPOSITORY = ("copy", "prune")  # each place is a matter of its own


def tell(job_id: int) -> None:
    """Raise or resolve the alert that fits the end of a job, once."""
    job = db.session.get(Job, job_id, populate_existing=True)
    if job is None or not job.ended or job.parameters.get(_TOLD):
        return
    if job.kind == "restore":
        _resolve_restores(job)
    if job.status == "completed":
        if not _ended_badly_since(job):
            alerts.resolve(_subject(job))
    elif job.kind == "retention" and job.status == "warning":
        pass  # what it warns of (the brake, a lost snapshot) has an alert of its own
    elif job.status in _BAD and not _told_before(job):
        _raise(job)
    _mark_told(job_id)


def tell_untold() -> None:
    """Tell of jobs that ended while the process that ended them was killed before it could."""
    ended = select(Job).where(Job.ended_at > utc_now() - _UNTOLD_SINCE).order_by(Job.id)
    for job_id in [job.id for job in db.session.scalars(ended) if not job.parameters.get(_TOLD)]:
        tell(job_id)


def interruption(why: str) -> str:
    """Return the summary of a job that was interrupted; an alert puts the job's name before the reason."""
    return f"The job was interrupted: {why}"


def _raise(job: Job) -> None:
    kind, severity = _BAD[job.status]
    about = f"{_NAMES.get(job.kind, 'The job')}{_whose(job)}"
    ended = {"failed": "failed", "interrupted": "was interrupted", "warning": "ended with a warning"}[
        job.status
    ]
    what = f"{about} {ended}. {job.summary}"
    if job.status == "interrupted":
        what = f"{about} {ended}: {job.summary.removeprefix(interruption(''))}"
    advice = job.advice
    if (again_at := retries.at(job)) is not None and job.config is not None:
        severity = "warning"
        advice = f"It is tried again by itself at {words.moment(again_at, job.config.timezone)}. {advice}"
    alerts.raise_alert(
        _subject(job), kind, severity, what, job.meaning, advice, job.detail,
        config_id=job.config_id, job_id=job.id,
    )  # fmt: skip


def _whose(job: Job) -> str:
    record = db.session.get(RepositoryRecord, job.repository_id or "") if job.kind == "prune" else None
    if record is not None:
        return f" of {record.storage.name}"
    return f" of {job.config.name}" if job.config else ""


def _resolve_restores(job: Job) -> None:
    """Close what earlier restores to the same folder have opened, once one has brought all the content."""
    restore = db.session.scalar(select(Restore).where(Restore.job_id == job.id))
    whole = job.status == "completed" or (job.status == "warning" and job.counts.get("files", 0) > 0)
    if restore is None or not whole:
        return
    same = select(Restore.job_id).where(
        Restore.target_path == restore.target_path,
        Restore.host_id.is_not_distinct_from(restore.host_id),
        Restore.job_id < job.id,
    )
    open_ones = select(Alert.subject).where(Alert.job_id.in_(same), Alert.resolved_at.is_(None))
    for subject in db.session.scalars(open_ones).all():
        alerts.resolve(subject)


def _subject(job: Job) -> str:
    if job.kind == "restore":  # another point, or another folder, is another matter
        return f"restore:{job.config_id or 'all'}:{job.id}"
    if job.kind in _BY_REPOSITORY:
        return f"{job.kind}:{job.config_id or 'all'}:{job.repository_id}"
    return f"{job.kind}:{job.config_id or 'all'}"


def _ended_badly_since(job: Job) -> bool:
    """Tell whether a later job of the same kind and config ended badly: an old good end resolves nothing."""
    later = select(Job.id).where(
        Job.kind == job.kind, Job.config_id == job.config_id, Job.id > job.id, Job.status.in_(_BAD)
    )
    if job.kind in _BY_REPOSITORY:
        later = later.where(Job.repository_id == job.repository_id)
    return db.session.scalar(later.limit(1)) is not None


def _told_before(job: Job) -> bool:
    """Tell whether the alert about this very job was raised, just not noted: killed in between."""
    return db.session.scalar(select(Alert.id).where(Alert.job_id == job.id).limit(1)) is not None


def _mark_told(job_id: int) -> None:
    with write() as session:
        job = session.get(Job, job_id)
        if job is not None:
            job.parameters = {**job.parameters, _TOLD: True}
