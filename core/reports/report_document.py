"""What a daily report says: the runs of a day (UTC), and how things stood when it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import load_only

from core import instance
from core.alerting import alerts
from core.configs import config_short, configs, objectives, states, success
from core.configs.config_short import Known
from core.db import db
from core.models import Alert, AuditHead, Config, Job, ScheduledRun, Storage
from core.retention import standings
from core.retention.standings import Standing, Standings
from core.storages import storage_usage, storages

FORMAT = "holdfast-report/1"
MOST_JOBS = 5000
# Said of each run of the day, also where it is none: so that scripts need not ask.
_STATUSES = ("completed", "warning", "failed", "interrupted", "cancelled")
# Of each job; whole rows of hundreds take three times as long.
_IN_SHORT = load_only(
    Job.id, Job.kind, Job.config_id, Job.status, Job.trigger, Job.started_at, Job.ended_at, Job.counts,
    Job.bytes_added, Job.problems, Job.summary,
)  # fmt: skip


def make(day: date, now: datetime) -> dict[str, Any]:
    """Return the report of a day, as JSON can hold it. It has no secret in it."""
    every = configs.list_all()
    looked, stand = states.look(every, now), standings.of_all(every, now)
    verdict = states.verdict_of(every, looked, now)
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    jobs, missed = _jobs(since, until), _missed(since, until)
    return {
        "format": FORMAT,
        "day": day.isoformat(),
        "instance": instance.get("instance_id"),
        "generated_at": now.isoformat(),
        "verdict": {
            "level": verdict.level,
            "sentence": verdict.sentence,
            "reasons": [reason.text for reason in verdict.reasons],
        },
        "success": [
            {"days": each.days, "rate": each.rate, "good": each.good, "bad": each.bad, "missed": each.missed}
            for each in success.rates(now)
        ],
        "runs": _runs(jobs, missed),
        "configs": _configs(config_short.of_all(every, looked, now), stand, jobs),
        "storages": [_storage(storage) for storage in storages.list_all()],
        "alerts": _alerts(since, until),
        "retention": {
            "compliance": stand.share,
            "looked_at": stand.at.isoformat() if stand.at else None,
            "trashed": _sum(jobs, "retention", "trashed"),
            "removed": _sum(jobs, "retention", "removed"),
            "bytes_freed": _sum(jobs, "prune", "bytes_freed"),
        },
        "audit": _audit(),
        "missed": [_missed_run(run) for run in missed],
        "jobs": [_job(job) for job in jobs[:MOST_JOBS]],
    }


def _jobs(since: datetime, until: datetime) -> Sequence[Job]:
    query = select(Job).where(Job.ended_at >= since, Job.ended_at < until).options(_IN_SHORT)
    return db.session.scalars(query.order_by(Job.id)).all()


def _missed(since: datetime, until: datetime) -> Sequence[ScheduledRun]:
    query = select(ScheduledRun).where(
        ScheduledRun.job_id.is_(None), ScheduledRun.due_at >= since, ScheduledRun.due_at < until
    )
    return db.session.scalars(query.order_by(ScheduledRun.due_at)).all()


def _runs(jobs: Sequence[Job], missed: Sequence[ScheduledRun]) -> dict[str, Any]:
    backups = [job for job in jobs if job.kind == "backup"]
    counts = Counter(job.status for job in backups)
    return {
        **{status: counts[status] for status in _STATUSES},
        "missed": len(missed),
        "bytes_added": sum(job.counts.get("bytes_added_packed", 0) for job in backups),
    }


def _configs(every: Iterable[Known], stand: Standings, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    runs: dict[str | None, Counter[str]] = {}
    for job in jobs:
        if job.kind == "backup":
            runs.setdefault(job.config_id, Counter())[job.status] += 1
    return [
        _config(known, stand.by_config[known.config.id], runs.get(known.config.id, Counter()))
        for known in every
    ]


def _config(known: Known, places: Sequence[Standing], own: Counter[str]) -> dict[str, Any]:
    config, state, facts, rpo = known.config, known.state, known.facts, known.rpo
    restore = facts.restore_time
    return {
        "id": config.id,
        "name": config.name,
        "type": config.type,
        "state": state.word,
        "reason": state.reason,
        "runs": {status: own[status] for status in _STATUSES},
        "last_good_at": facts.last_good.taken_at.isoformat() if facts.last_good else None,
        "next_run_at": facts.next_run.isoformat() if facts.next_run else None,
        "good_points": facts.good_points,
        "source_bytes": facts.source_bytes,
        "stored_bytes": facts.stored_bytes,
        "rpo_s": _seconds(rpo.age),
        "rpo_objective_s": _seconds(rpo.objective),
        "rpo_met": rpo.met,
        "rto_s": restore.took.total_seconds() if restore else None,
        "rto_objective_s": _seconds(objectives.rto_of(config)),
        "rto_met": restore.met if restore else None,
        "destinations": [
            {
                "storage": each.destination.repository.storage.name,
                "encrypted": each.destination.repository.encrypted,
                "complies": each.complies,
                "why": each.text,
            }
            for each in places
        ],
    }


def _storage(storage: Storage) -> dict[str, Any]:
    usage = storage_usage.of(storage)
    return {
        "id": storage.id,
        "name": storage.name,
        "provider": storage.provider,
        "reachable": storage.unreachable_since is None,
        "used_bytes": usage.used_bytes,
        "quota_bytes": usage.quota_bytes,
        "free_bytes": usage.free_bytes,
        "cost_per_month": usage.cost_per_month,
        "currency": usage.currency,
        "full_at": usage.full_at.isoformat() if usage.full_at else None,
    }


def _alerts(since: datetime, until: datetime) -> dict[str, Any]:
    def number(condition: ColumnElement[bool]) -> int:
        return db.session.scalar(select(func.count(Alert.id)).where(condition)) or 0

    return {
        "opened": number((Alert.opened_at >= since) & (Alert.opened_at < until)),
        "resolved": number((Alert.resolved_at >= since) & (Alert.resolved_at < until)),
        "open": [
            {
                "kind": alert.kind,
                "severity": alert.severity,
                "what": alert.what,
                "opened_at": alert.opened_at.isoformat(),
                "acknowledged_by": alert.acknowledged_by,
            }
            for alert in alerts.list_open()
        ],
    }


def _audit() -> dict[str, Any]:
    """Return where the audit log ends: kept elsewhere, it shows later that nothing before it was changed."""
    head = db.session.scalar(select(AuditHead).limit(1))
    return {"entries": head.number if head else 0, "hash": head.hash if head else None}


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "config": job.config.name if job.config else None,
        "status": job.status,
        "trigger": job.trigger,
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "ended_at": job.ended_at.isoformat() if job.ended_at else None,
        "bytes_added": job.counts.get("bytes_added_packed", job.bytes_added),
        "problems": job.problems,
        "summary": job.summary,
    }


def _missed_run(run: ScheduledRun) -> dict[str, Any]:
    config = db.session.get(Config, run.config_id)
    name = config.name if config else None
    return {"config": name, "due_at": run.due_at.isoformat(), "reason": run.missed_reason}


def _sum(jobs: Sequence[Job], kind: str, count: str) -> int:
    return sum(int(job.counts.get(count, 0)) for job in jobs if job.kind == kind)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
