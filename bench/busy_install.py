"""Fill the state of a fresh install with years of rows, so that pages can be timed as they are then."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from bench import busy_catalog, busy_real, busy_things
from core import setup
from core.configs import configs
from core.configs.configs import ConfigInput
from core.db import Base, db, utc_now, write
from core.models import (
    Config,
    Copy,
    Job,
    JobLog,
    Point,
    RepositoryRecord,
    ScheduledRun,
    Storage,
    StorageSample,
)
from core.retention import standings
from core.storages import recovery, storage_setup
from core.storages.storage_inputs import LocalInput

# Of twenty runs of a config one fails, and one meets something that cannot be read.
_STATUS = ("completed",) * 18 + ("warning", "failed")
_BATCH = 5_000
# One config of so many has a second destination.
_COPIED = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One backup of the past: job, point and copy share its number."""

    number: int
    config_id: str
    at: datetime
    status: str


def fill(folder: Path, config_count: int, job_count: int, file_count: int, password: str = "") -> int:
    """Set an install up whose configs ran in turn, the last run being of just now; return the admin's id.

    Needs an app context. Every run that did not fail has a point; those of the first half are in the past of
    retention, as after years. All other points are catalogued, as many files as asked for. One more config
    has two points that can be opened: see bench.busy_real.
    """
    admin_id = _set_up(folder, password)
    repository_id = db.session.scalars(select(RepositoryRecord.id)).one()
    second = storage_setup.create(LocalInput(name="Second", path=str(folder / "second"))).repositories[0].id
    config_ids = _make_configs(folder, config_count, [repository_id, second])
    runs = list(_runs(config_ids, job_count))
    _insert(Job, map(_job, runs))
    good = [run for run in runs if run.status != "failed"]
    _insert(Point, map(_point, good))
    _insert(Copy, (_copy(run, repository_id, run.number <= job_count // 2) for run in good))
    copied = set(config_ids[::_COPIED])
    there = [run for run in good if run.number > job_count // 2]
    _insert(Copy, (_copy(run, second, False) for run in there if run.config_id in copied))
    _insert(ScheduledRun, map(_scheduled, runs))
    _insert(JobLog, (line for run in runs for line in _log(run)))
    storage_ids = db.session.scalars(select(Storage.id)).all()
    _insert(StorageSample, (_sample(each, number) for each in storage_ids for number in range(90)))
    busy_catalog.fill(_by_config(there), file_count)
    failed = [(run.config_id, run.number) for run in runs if run.status == "failed"]
    busy_things.fill(admin_id, config_ids, failed, [run.number for run in there])
    busy_real.fill(folder)
    standings.look(configs.list_all())
    return admin_id


def _set_up(folder: Path, password: str) -> int:
    admin_id = setup.create_admin(setup.setup_token() or "", "admin", password or secrets.token_hex(8)).id
    setup.create_first_storage(str(folder / "backups"))
    key = (recovery.stored() or "").split("-")
    setup.confirm_recovery_key([key[place - 1] for place in setup.recovery_challenge()])
    return admin_id


def _by_config(runs: Iterable[Run]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(run.config_id, []).append(run.number)
    return found


def _make_configs(folder: Path, count: int, repositories: Sequence[str]) -> list[str]:
    (folder / "source").mkdir(exist_ok=True)
    with write() as session:
        made: list[Config] = [
            configs.insert(session, _config(folder, number, repositories)) for number in range(count)
        ]
        return [config.id for config in made]


def _config(folder: Path, number: int, repositories: Sequence[str]) -> ConfigInput:
    places = repositories if number % _COPIED == 0 else repositories[:1]
    return configs.parse(
        {
            "name": f"Config {number:03}",
            "source": {"paths": [str(folder / "source")]},
            "cron": f"{number % 60} {number % 24} * * *",
            "destinations": [{"repository_id": each} for each in places],
        }
    )


def _runs(config_ids: list[str], count: int) -> Iterator[Run]:
    """Yield the runs in the order of time: each config has one a day."""
    step = timedelta(days=1) / len(config_ids)
    first = utc_now() - step * count
    for number in range(1, count + 1):
        config = number % len(config_ids)
        status = _STATUS[(number // len(config_ids) + config) % len(_STATUS)]
        yield Run(number, config_ids[config], first + step * number, status)


def _job(run: Run) -> dict[str, Any]:
    return {
        "id": run.number, "kind": "backup", "status": run.status, "trigger": "schedule",
        "config_id": run.config_id, "parameters": {}, "due_at": run.at, "created_at": run.at,
        "started_at": run.at, "ended_at": run.at + timedelta(seconds=90), "attempt": 1, "node": "bench",
        "files_done": 12_345, "files_total": 12_345, "bytes_done": 10**9, "bytes_total": 10**9,
        "bytes_added": 10**7, "counts": {"files_new": 12, "files_changed": 34, "files_unmodified": 12_299},
        "summary": "It was stored." if run.status != "failed" else "The folder was not there.",
    }  # fmt: skip


def _point(run: Run) -> dict[str, Any]:
    return {
        "id": run.number, "config_id": run.config_id, "job_id": run.number, "taken_at": run.at,
        "paths": {"paths": ["/srv/data"]}, "tree": secrets.token_hex(32), "files": 12_345, "bytes": 10**9,
        "bytes_added": 10**7, "warnings": run.status == "warning", "created_at": run.at,
    }  # fmt: skip


def _copy(run: Run, repository_id: str, forgotten: bool) -> dict[str, Any]:
    gone = run.at + timedelta(days=30) if forgotten else None
    return {
        "point_id": run.number, "repository_id": repository_id, "snapshot_id": secrets.token_hex(32),
        "created_at": run.at, "bytes_added": 10**7, "trashed_at": gone, "forgotten_at": gone,
    }  # fmt: skip


def _sample(storage_id: str, days_ago: int) -> dict[str, Any]:
    day = utc_now().date() - timedelta(days=days_ago)
    return {"storage_id": storage_id, "day": day, "used_bytes": 10**12 - days_ago * 10**9}


def _scheduled(run: Run) -> dict[str, Any]:
    return {
        "config_id": run.config_id,
        "due_at": run.at.replace(microsecond=run.number % 10**6),
        "job_id": run.number,
        "created_at": run.at,
    }


def _log(run: Run) -> Iterator[dict[str, Any]]:
    for text in (
        "Reading /srv/data.",
        "12,345 files read, 46 of them new or changed.",
        "The snapshot was saved.",
    ):
        yield {"job_id": run.number, "at": run.at, "level": "info", "message": text}


def _insert(model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows a batch at a time."""
    rest = iter(rows)
    while batch := list(islice(rest, _BATCH)):
        with write() as session:
            session.execute(insert(model), batch)
