"""Tell people that a storage lost packs: older points may be damaged."""

from __future__ import annotations

from collections.abc import Sequence

from core import words
from core.alerting import alerts
from core.db import db
from core.jobs.joblog import LogBook
from core.models import RepositoryRecord
from repository.lost_packs import LostPack

_NAMED = 100


def tell_lost_packs(log: LogBook, record_id: str, lost: Sequence[LostPack]) -> None:
    """Write them to the job's log and raise an alert; resolve it once nothing is missing any more."""
    subject = f"lost-packs:{record_id}"
    if not lost:
        alerts.resolve(subject)
        return
    for pack in lost[:_NAMED]:
        log.add("warning", f"The storage lost data: {pack}. What this job met of it was stored anew.")
    record = db.session.get_one(RepositoryRecord, record_id)
    alerts.raise_alert(
        subject, "corruption", "error",
        f"The storage {record.storage.name} lost {words.count(len(lost), 'pack file')} of stored data.",
        "Earlier points may lack some of their files there. What the job that found it met was stored anew, "
        "and the point that it stored is whole.",
        "Look at the storage's disk and at who can delete there. Then run `restic rebuild-index` (newer "
        "versions: `restic repair index`) on the repository, and `restic check`.",
        "\n".join(map(str, lost[:_NAMED])), storage_id=record.storage_id,
    )  # fmt: skip
