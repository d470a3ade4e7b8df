"""A job's numbers as all pages show them: one figure each, and "–" where what was counted says too little."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from core.models import Job
from webapp import formats

_UNKNOWN = "–"

_LABELS: dict[str, tuple[str, Callable[[int], str]]] = {
    "files_new": ("New files", formats.count),
    "files_changed": ("Changed files", formats.count),
    "files_unmodified": ("Unchanged files", formats.count),
    "files_failed": ("Files that could not be read", formats.count),
    "dirs_new": ("New folders", formats.count),
    "dirs_changed": ("Changed folders", formats.count),
    "dirs_unmodified": ("Unchanged folders", formats.count),
    "others_total": ("Links, devices and the like", formats.count),
    "data_blobs": ("New pieces of content", formats.count),
    "tree_blobs": ("New lists of folders", formats.count),
    "bytes_processed": ("Size of all files", formats.size),
    "bytes_added": ("New content, before compression", formats.size),
    "bytes_added_packed": ("Added to the storage", formats.size),
    "problems_lost": ("Things not stored, or not whole", formats.count),
    "problems_changed": ("Files that changed while being read", formats.count),
    "duration_ms": ("Time to read and store", lambda number: formats.duration(number / 1000)),
    "files": ("Files written", formats.count),
    "dirs": ("Folders written", formats.count),
    "others": ("Links, devices and the like", formats.count),
    "bytes": ("Size of the files written", formats.size),
    "noted": ("Left out of the archive, or renamed", formats.count),
    "points": ("Points", formats.count),
    "kept": ("Left as they were", formats.count),
    "renamed": ("Put beside, renamed", formats.count),
    "failed": ("Could not be restored", formats.count),
    "tables": ("Tables", formats.count),
    "rows": ("Rows", formats.count),
    "equal": ("Tables and large objects that agree with the dump", formats.count),
    "different": ("Tables that differ from the dump", formats.count),
    "unknown": ("Tables that could not be compared", formats.count),
    "trashed": ("Points moved to the trash", formats.count),
    "removed": ("Points removed from the trash", formats.count),
    "lost": ("Points that another program removed", formats.count),
    "bytes_freed": ("Freed on the storage", formats.size),
    "packs_deleted": ("Packs deleted", formats.count),
    "packs_written": ("Packs written, of what others held that is needed", formats.count),
    "bytes_repacked": ("Copied to new packs", formats.size),
    "bytes_before": ("Stored content before", formats.size),
    "bytes_used": ("Stored content in use", formats.size),
    "bytes_unused": ("Unused content kept for now", formats.size),
    "bytes_left": ("Left for another run", formats.size),
}


def added(job: Job) -> str:
    """Say what a backup or copy adds to the storage: compressed, new content only, as its summary says it."""
    if job.kind not in ("backup", "copy") or job.started_at is None:
        return ""
    if not job.ended or job.kind == "copy":
        return formats.size(job.bytes_added)
    return _counted(job, "bytes_added_packed", formats.size)


def files(job: Job) -> str:
    """Say how many files are in the point, or were restored, or how many points were copied; of a job that
    goes on, how far it is."""
    if job.kind == "copy" and job.started_at is not None:
        return formats.count(job.files_done, "point")
    if job.kind in ("retention", "prune", "catalog") or job.started_at is None:
        return ""
    if not job.ended:
        return formats.count(job.files_done)
    if job.kind in ("restore", "download"):
        return _counted(job, "files", formats.count)
    if "files_new" not in job.counts:
        return _UNKNOWN
    return formats.count(sum(job.counts[f"files_{how}"] for how in ("new", "changed", "unmodified")))


def restored_bytes(job: Job) -> str:
    """Say how much a restore wrote; of one that goes on, how far it is."""
    return _counted(job, "bytes", formats.size) if job.ended else formats.size(job.bytes_done)


def all_counts(job: Job) -> list[tuple[str, str]]:
    """Return every count that a job left, each with what it counts."""
    known = [
        (*_LABELS.get(name, (_words(name), formats.count)), number) for name, number in job.counts.items()
    ]
    return [(label, say(number)) for label, say, number in known]


def _counted(job: Job, name: str, say: Callable[[int], str]) -> str:
    """Say a count of the end. One that broke off left none, and its progress is no result."""
    return say(job.counts[name]) if name in job.counts else _UNKNOWN


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def register(app: Flask) -> None:
    """Give the templates these as filters: `job | files_of`."""
    app.add_template_filter(added, "added")
    app.add_template_filter(files, "files_of")
    app.add_template_filter(restored_bytes, "restored_bytes")
    app.add_template_filter(all_counts, "all_counts")
