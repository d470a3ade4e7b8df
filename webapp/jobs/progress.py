"""What a job's progress means in numbers for people: share, rate, time left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from core.db import utc_now
from core.jobs import nodes, outcomes
from core.models import Job
from core.models.job import PENDING

# Before this the rate is noise, and a promise about the end would jump.
SETTLED_AFTER = timedelta(seconds=5)

_PHASES = {
    "scanning": "Looking for what changed",
    "reading": "Reading and storing",
    "saving": "Saving the point",
    "checking": "Reading back what was stored",
    "opening": "Opening both repositories",
    "comparing": "Looking for what is missing there",
    "copying": "Copying",
    "restoring": "Writing files",
    "verifying": "Checking what was written",
    "removing": "Removing old points",
    "looking": "Looking for what points need",
    "deciding": "Looking for what nothing needs",
    "repacking": "Copying what is still needed",
    "counting": "Counting what was chosen",
    "building": "Building the archive",
    "cataloguing": "Reading the folders of points for search",
    "deleting": "Deleting what nothing needs",
}


# How much there is to do is what these find out.
_LOOKING = ("opening", "comparing")


@dataclass(frozen=True, slots=True)
class Live:
    """One moment of a job. `share`: 0 to 100, None while unknown. `rate`: bytes a second."""

    active: bool
    phase: str
    share: int | None
    rate: float | None
    left: timedelta | None
    took: timedelta | None
    hint: str


def of(job: Job) -> Live:
    """Return what can be said about a job now."""
    took = _took(job)
    rate = _rate(job, took)
    return Live(
        active=job.status in PENDING,
        phase=_phase(job),
        share=_share(job),
        rate=rate,
        left=_left(job, took, rate),
        took=took,
        hint=_hint(job),
    )


def _hint(job: Job) -> str:
    """Say why a queued job does not run yet."""
    if job.status != "queued":
        return ""
    if job.waiting_reason:
        return outcomes.sentence(job.waiting_reason)
    if not nodes.worker_lives():
        return "No worker is running, so it does not start. Start Holdfast again, or look into its log."
    return "It starts as soon as a worker is free."


def _phase(job: Job) -> str:
    if job.cancel_requested_at is not None and job.status == "running":
        return "Stopping"
    if job.status == "queued":
        return "Waiting" if job.phase == "waiting" else "Queued"
    return _PHASES.get(job.phase) or job.phase.capitalize() or "Starting"


def _share(job: Job) -> int | None:
    if job.status != "running" or job.phase in _LOOKING:
        return None
    if job.bytes_total:
        return min(100, job.bytes_done * 100 // job.bytes_total)
    if job.files_total:
        return min(100, job.files_done * 100 // job.files_total)
    return None


def _took(job: Job) -> timedelta | None:
    if job.started_at is None:
        return None
    return max((job.ended_at or utc_now()) - job.started_at, timedelta())


def _rate(job: Job, took: timedelta | None) -> float | None:
    """Return the rate just now, of a running job; of one that has ended, the mean."""
    if not job.bytes_done or not took or took.total_seconds() < 1:
        return None
    if job.status == "running" and job.bytes_rate is not None:
        return float(job.bytes_rate)
    return job.bytes_done / took.total_seconds()


def _left(job: Job, took: timedelta | None, rate: float | None) -> timedelta | None:
    if job.status != "running" or not took or took < SETTLED_AFTER or not rate or not job.bytes_total:
        return None
    return timedelta(seconds=max(0, job.bytes_total - job.bytes_done) / rate)
