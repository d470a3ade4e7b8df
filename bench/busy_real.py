"""A config whose two points can be opened: the others of a busy install are only rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from core.configs import configs
from core.db import db
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Point
from core.points import points
from core.points.tokens import token_from_path
from core.storages import storage_setup
from core.storages.storage_inputs import LocalInput

_NAME = "Real"
_FILES = 1_000
_CHANGED = "0007.txt"


@dataclass(frozen=True, slots=True)
class Real:
    """The config, its two points, the folder in them and a file that differs, as tokens."""

    config_id: str
    old: int
    new: int
    folder: str
    file: str


def fill(folder: Path) -> None:
    """Back some files up, change one, and back them up again. Needs an app context."""
    source = folder / "real-source"
    source.mkdir()
    for number in range(_FILES):
        (source / f"{number:04}.txt").write_text(f"{number}\n" * 20)
    # On a storage of their own: a job on another one would find that what was seeded is not there.
    storage = storage_setup.create(LocalInput(name=_NAME, path=str(folder / "real")))
    given = {"name": _NAME, "source": {"paths": [str(source)]}, "repository_id": storage.repositories[0].id}
    config_id = configs.create(configs.parse(given)).id
    _back_up(config_id)
    (source / _CHANGED).write_text("other\n")
    _back_up(config_id)


def find() -> Real:
    """Return what `fill` has made."""
    config = db.session.scalars(select(Config).where(Config.name == _NAME)).one()
    query = select(Point.id).where(Point.config_id == config.id).order_by(Point.id)
    old, new = db.session.scalars(query)
    here = os.fsencode(config.source["paths"][0])
    return Real(config.id, old, new, token_from_path(here), token_from_path(here + b"/" + _CHANGED.encode()))


def _back_up(config_id: str) -> None:
    """Do a backup in this process."""
    attempt = attempts.claim(jobs.create_backup(config_id, "manual").id)
    assert attempt is not None
    job_kinds.perform(attempt)
    if points.of_job(attempt.job_id) is None:
        raise SystemExit(f"The backup failed: {jobs.get(attempt.job_id).summary}")
