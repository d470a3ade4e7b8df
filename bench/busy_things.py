"""What else stands in an install after years: people, hosts, alerts, restores, the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from core.access import api_tokens, audit, sessions, users
from core.access.api_tokens import TokenInput
from core.access.audit import Deed
from core.db import utc_now, write
from core.hosts import host_inputs, hosts
from core.models import Alert, Config, Host, Job, Report, Restore
from core.reports import reports

RUNNING = 200
_HOSTS, _PEOPLE, _RESTORES, _REPORTS = 12, 10, 300, 90
_DEEDS = 5_000
_ACTIONS = ("configs.update", "configs.back_up", "points.file", "sessions.enter", "backup restore")


def fill(
    admin_id: int, config_ids: Sequence[str], failed: Sequence[tuple[str, int]], points: Sequence[int]
) -> None:
    """Add all of that. `failed`: config and job of each backup that failed, the oldest first; `points`: some
    that are there."""
    _make_people(admin_id)
    _make_hosts(config_ids)
    with write() as session:
        if rows := list(_alerts(failed)):
            session.execute(insert(Alert), rows)
    _make_restores(points)
    _make_deeds(min(_DEEDS, 20 * len(config_ids)))
    _make_reports()


def run_many(config_ids: Sequence[str], first_id: int, count: int) -> None:
    """Let backups of so many configs run at this moment."""
    with write() as session:
        rows = [_running(first_id + place, each) for place, each in enumerate(config_ids[:count])]
        session.execute(insert(Job), rows)


def _make_people(admin_id: int) -> None:
    for number in range(_PEOPLE):
        users.create(f"person{number}", f"correct horse battery {number}", "viewer")
    admin = users.get(admin_id)
    for number in range(_PEOPLE):
        sessions.start(admin, f"10.0.0.{number}")
        api_tokens.create(TokenInput(name=f"Script {number}", role="viewer"), admin)


def _make_hosts(config_ids: Sequence[str]) -> None:
    """Make hosts; the configs are shared out among all but the first."""
    made = [
        hosts.create(host_inputs.HostInput(name=f"web{number}", address=f"10.1.0.{number}", user="backup")).id
        for number in range(min(_HOSTS, len(config_ids)))
    ]
    with write() as session:
        for place, config_id in enumerate(config_ids[::4]):
            config = session.get_one(Config, config_id)
            config.source = {**config.source, "host_id": made[place % len(made)]}
        for host_id in made[1:]:
            host = session.get_one(Host, host_id)
            host.host_keys = {"lines": [" ".join(host.public_key.split()[-3:][:2])]}


def _alerts(failed: Sequence[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """One of each failure; all but the newest of each config's are resolved."""
    newest = dict(failed)
    for config_id, job_id in failed:
        still = newest[config_id] == job_id and job_id > failed[-1][1] - len(newest)
        yield {
            "subject": f"backup:{config_id}", "kind": "failure", "severity": "error",
            "config_id": config_id, "job_id": job_id, "what": "The last backup failed.",
            "meaning": "Nothing new was stored.", "advice": "See the log.", "count": 1,
            "opened_at": utc_now(), "last_at": utc_now(), "resolved_at": None if still else utc_now(),
        }  # fmt: skip


def _make_restores(points: Sequence[int]) -> None:
    with write() as session:
        for point_id in points[-_RESTORES:]:
            now = utc_now()
            job = Job(
                kind="restore", trigger="manual", status="completed", parameters={}, created_at=now,
                started_at=now, ended_at=now, attempt=1, node="bench", counts={}, summary="All is there.",
            )  # fmt: skip
            session.add(job)
            session.flush()
            row = Restore(job_id=job.id, point_id=point_id, target_path="/srv/back", include={}, database={})
            row.conflict = "keep"
            session.add(row)


def _make_deeds(count: int) -> None:
    with write() as session:
        for number in range(count):
            action = _ACTIONS[number % len(_ACTIONS)]
            audit.add(session, Deed(f"person{number % _PEOPLE}", "page", action, "done", f"thing {number}"))


def _make_reports() -> None:
    document, now = reports.preview(), utc_now()
    short = reports.in_short(document)
    days = [now.date() - timedelta(days=1 + back) for back in range(_REPORTS)]
    rows = [
        {"day": day, "document": {**document, "day": f"{day}"}, "created_at": now, "stored_at": now, **short}
        for day in days
    ]
    with write() as session:
        session.execute(insert(Report), rows)


def _running(job_id: int, config_id: str) -> dict[str, Any]:
    now = utc_now()
    return {
        "id": job_id, "kind": "backup", "status": "running", "trigger": "schedule", "config_id": config_id,
        "parameters": {}, "created_at": now, "started_at": now, "attempt": 1, "node": "bench", "pid": 1,
        "heartbeat_at": now, "progressed_at": now, "phase": "storing", "files_done": 1_234,
        "files_total": 12_345, "bytes_done": 10**8, "bytes_total": 10**9, "counts": {},
        "current_path": "/srv/data/000050/invoice-004711.txt",
    }  # fmt: skip
