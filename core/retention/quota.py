"""What must wait until a storage has room again under its quota."""

from __future__ import annotations

from core.jobs.attempts import Waiting
from core.models import Storage
from core.storages import storage_usage


def require_room(storage: Storage) -> None:
    """Raise Waiting if the storage's quota is used up, Unreachable if that cannot be told."""
    reason = storage_usage.over_quota(storage)
    if reason:
        advice = "Raise its quota, or keep fewer points; nothing that a point needs is deleted to make room."
        raise Waiting(reason, advice)
