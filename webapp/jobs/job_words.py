"""A job in words: its title, and the storage that it writes to."""

from __future__ import annotations

from flask import Flask

from core.errors import NotFound
from core.models import Job, Point, Storage
from core.points import points
from core.storages import storages


def target(job: Job) -> Storage | None:
    """Return the storage that a backup went to, a copy fills, or a prune frees; None if it is gone."""
    try:
        return storages.get_repository(job.repository_id).storage if job.repository_id else None
    except NotFound:
        return None


def title(job: Job) -> str:
    """Say what a job is: "Backup of Wiki", "Copy of Wiki to Bucket", "Prune of Bucket"."""
    if job.kind == "prune":
        freed = target(job)
        return f"Prune of {freed.name}" if freed else "Prune"
    if job.kind == "catalog":
        return "Catalog of search"
    whose = f" of {job.config.name}" if job.config else ""
    filled = target(job) if job.kind == "copy" else None
    return f"{job.kind.capitalize()}{whose}" + (f" to {filled.name}" if filled else "")


def point_made(job: Job) -> Point | None:
    """Return the good point that a backup made; None if it made none, or it is gone."""
    return points.of_job(job.id) if job.kind == "backup" and job.ended else None


def register(app: Flask) -> None:
    """Give the templates these as filters."""
    app.add_template_filter(title, "job_title")
    app.add_template_filter(point_made)
