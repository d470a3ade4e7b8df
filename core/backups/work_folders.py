"""What killed runs left in the folders of parallel dumps: removed, and what still writes there is ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from core.db import db, utc_now
from core.models import Config, Job, Restore
from sources.postgres import leftovers

# So long after a restore was interrupted its folder is looked at, wherever that was.
_LOOK_BACK = timedelta(days=7)

_log = logging.getLogger(__name__)


def sweep() -> list[str]:
    """Remove what no run uses any more; return the paths. A dead mount may hold this up: not for the tick."""
    folders = {folder for folder in _folders() if folder}
    db.session.rollback()
    removed: list[str] = []
    for folder in sorted(folders):
        try:
            removed += leftovers.sweep(folder)
        except OSError as error:
            _log.warning("what killed runs left in %s could not be removed: %s", folder, error)
    for path in removed:
        _log.warning("removed %s, which a killed run had left", path)
    return removed


def _folders() -> Iterator[str]:
    """Yield the folders of configs, also of deleted ones, and of restores that were interrupted lately."""
    for config in db.session.scalars(select(Config).where(Config.type == "database")):
        yield str(config.source.get("work_folder", ""))
    interrupted = select(Restore).join(Job, Restore.job_id == Job.id).where(
        Job.status == "interrupted", Job.ended_at > utc_now() - _LOOK_BACK
    )  # fmt: skip
    for restore in db.session.scalars(interrupted):
        yield str((restore.database or {}).get("work_folder", ""))
