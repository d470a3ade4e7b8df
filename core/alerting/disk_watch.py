"""The alerts about disks of this machine that are nearly full: those of storages, and our own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from core import app_state, words
from core.alerting import alerts
from core.storages import storage_usage, storages

GIB = 1 << 30
# A disk is nearly full below both, full below either.
WARN_SHARE, WARN_BYTES = 0.05, 20 * GIB
FULL_SHARE, FULL_BYTES = 0.005, GIB // 2


@dataclass(frozen=True, slots=True)
class _Disk:
    subject: str
    of_what: str
    meaning: str
    free: int
    total: int
    storage_id: str | None = None


def watch() -> None:
    """Look at the disks. A dead network mount may hold this up: not for the tick."""
    for storage in storages.list_all():
        usage, subject = storage_usage.of(storage), f"disk:{storage.id}"
        if usage.free_bytes is None or usage.total_bytes is None:
            continue  # not of this machine, or unreachable, which has an alert of its own
        meaning = "When it is full, backups there fail. Nothing is deleted to make room."
        name = f"the storage {storage.name}"
        _tell(_Disk(subject, name, meaning, usage.free_bytes, usage.total_bytes, storage.id))
    room = os.statvfs(app_state.settings().data_dir)
    meaning = "When it is full, no job can begin or end, and no alert be kept."
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    _tell(_Disk("disk:data", "Holdfast’s own data folder", meaning, free, total))


def severity_of(free: int, total: int) -> str:
    """Return error, warning, or "" for a disk with room enough."""
    if free < FULL_BYTES or free < total * FULL_SHARE:
        return "error"
    return "warning" if free < WARN_BYTES and free < total * WARN_SHARE else ""


def _tell(disk: _Disk) -> None:
    severity = severity_of(disk.free, disk.total)
    if not severity:
        alerts.resolve(disk.subject)
        return
    if any(each.subject == disk.subject and each.severity == severity for each in alerts.list_open()):
        return  # the same trouble, look by look
    alerts.raise_alert(
        disk.subject, "disk", severity,
        f"The disk of {disk.of_what} has {words.size(disk.free)} left of {words.size(disk.total)}.",
        disk.meaning,
        "Make room on it, keep fewer points, or move to a larger disk.",
        storage_id=disk.storage_id,
    )  # fmt: skip
