"""Numbers for monitoring, from the same queries as the pages. No format: see webapp.reports.metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from core.alerting import alerts
from core.configs import config_short, configs, latest, objectives, states, success
from core.configs.config_short import Known
from core.db import db, utc_now
from core.jobs import nodes
from core.messaging import channels
from core.models import Config, Job, Node
from core.models.job import PENDING
from core.retention import standings
from core.storages import storage_usage, storages

PREFIX = "holdfast_"


@dataclass(slots=True)
class Metric:
    """A gauge: its name without prefix, what it says, and a value for each set of labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    rows: list[tuple[tuple[str, ...], float]] = field(default_factory=list)


_Values = Mapping[str, float | None]


def collect(now: datetime | None = None) -> list[Metric]:
    """Return all metrics as they are now; what is not known has no row."""
    now = now or utc_now()
    every = configs.list_all()
    found = [*_of_configs(every, now), *_of_runs(now), *_of_storages(), *_of_alerts()]
    return [*found, *_of_retention(every, now), *_of_processes(now)]


def _of_configs(every: Sequence[Config], now: datetime) -> Iterator[Metric]:
    labels = ("config", "id", "type")
    state = Metric("config_state", "The state of a config: 1 for the one that holds", (*labels, "state"))
    rows = []
    took = _last_durations(every)
    for known in config_short.of_all(every, states.look(every, now), now):
        names = (known.config.name, known.config.id, known.config.type)
        state.rows.append(((*names, known.state.word), 1))
        rows.append((names, _config_values(known, took.get(known.config.id))))
    yield state
    yield from _gauges(_CONFIG_HELP, labels, rows)


_CONFIG_HELP = {
    "config_last_good_timestamp_seconds": "When the newest good point was taken",
    "config_last_good_age_seconds": "How old the newest good point is (RPO now)",
    "config_rpo_objective_seconds": "How old the newest point may be",
    "config_rpo_met": "Whether the newest point is new enough",
    "config_restore_seconds": "How long the last whole restore took (RTO, measured)",
    "config_rto_objective_seconds": "How long a restore may take",
    "config_last_duration_seconds": "How long the last backup that ended well took",
    "config_source_bytes": "Size of what the newest good point holds",
    "config_added_bytes": "What the newest good point added to the storage",
    "config_stored_bytes": "What all good points added to their storages",
    "config_good_points": "Good points",
    "config_next_run_timestamp_seconds": "When the next run is due",
}


def _config_values(known: Known, took_s: float | None) -> _Values:
    config, facts, rpo = known.config, known.facts, known.rpo
    newest, restore = facts.last_good, facts.restore_time
    return {
        "config_last_good_timestamp_seconds": newest.taken_at.timestamp() if newest else None,
        "config_last_good_age_seconds": None if rpo.age is None else rpo.age.total_seconds(),
        "config_rpo_objective_seconds": rpo.objective.total_seconds() if rpo.objective else None,
        "config_rpo_met": float(rpo.met),
        "config_restore_seconds": restore.took.total_seconds() if restore else None,
        "config_rto_objective_seconds": objectives.rto_of(config).total_seconds(),
        "config_last_duration_seconds": took_s,
        "config_source_bytes": facts.source_bytes,
        "config_added_bytes": newest.bytes_added if newest else None,
        "config_stored_bytes": facts.stored_bytes,
        "config_good_points": facts.good_points,
        "config_next_run_timestamp_seconds": facts.next_run.timestamp() if facts.next_run else None,
    }


def _last_durations(every: Sequence[Config]) -> dict[str, float]:
    """Return how long the last backup of each config took that ended well, in seconds."""
    return {
        key: max(0.0, (job.ended_at - job.started_at).total_seconds())
        for key, job in latest.ended_well([config.id for config in every]).items()
        if job.started_at is not None and job.ended_at is not None
    }


def _of_runs(now: datetime) -> Iterator[Metric]:
    ratio = Metric("backup_success_ratio", "Share of backups that ended well; missed runs count", ("days",))
    missed = Metric("missed_runs", "Scheduled runs that did not take place", ("days",))
    for each in success.rates(now):
        missed.rows.append(((str(each.days),), each.missed))
        if each.rate is not None:
            ratio.rows.append(((str(each.days),), each.rate))
    counts = db.session.execute(
        select(Job.kind, Job.status, func.count()).group_by(Job.kind, Job.status)
    ).all()
    jobs = Metric("jobs", "Jobs on record, by kind and status", ("kind", "status"))
    jobs.rows = [((kind, status), number) for kind, status, number in counts]
    oldest = db.session.scalar(select(func.min(Job.created_at)).where(Job.status == "queued"))
    waits = Metric("queue_oldest_seconds", "For how long the oldest queued job has waited")
    waits.rows = [((), (now - oldest).total_seconds() if oldest else 0.0)]
    queue = Metric("queue_jobs", "Jobs that are queued or running now", ("status",))
    pending = dict.fromkeys(PENDING, 0)
    for _, status, number in counts:
        if status in pending:
            pending[status] += number
    queue.rows = [((status,), number) for status, number in pending.items()]
    yield from (ratio, missed, jobs, queue, waits)


_STORAGE_HELP = {
    "storage_reachable": "Whether a storage answers as the one that was set up",
    "storage_used_bytes": "What a storage holds, as last listed",
    "storage_measured_timestamp_seconds": "When that was listed",
    "storage_quota_bytes": "Its quota",
    "storage_free_bytes": "Room on its disk",
}


def _of_storages() -> Iterator[Metric]:
    rows = []
    by_type = Metric("stored_bytes", "What kept copies added, by storage and type", ("storage", "id", "type"))
    for storage in storages.list_all():
        usage, names = storage_usage.of(storage), (storage.name, storage.id)
        values: _Values = {
            "storage_reachable": float(storage.unreachable_since is None),
            "storage_used_bytes": usage.used_bytes,
            "storage_measured_timestamp_seconds": usage.measured_at.timestamp()
            if usage.measured_at
            else None,
            "storage_quota_bytes": usage.quota_bytes,
            "storage_free_bytes": usage.free_bytes,
        }
        rows.append((names, values))
        added: dict[str, int] = {}
        for each in storage_usage.by_config(storage):
            kind = each.config.type if each.config else "none"
            added[kind] = added.get(kind, 0) + each.bytes_added
        by_type.rows += [((*names, kind), size) for kind, size in added.items()]
    yield from _gauges(_STORAGE_HELP, ("storage", "id"), rows)
    yield by_type


def _of_alerts() -> Iterator[Metric]:
    counts: dict[tuple[str, str], int] = {}
    for alert in alerts.list_open():
        counts[alert.severity, alert.kind] = counts.get((alert.severity, alert.kind), 0) + 1
    opened = Metric("alerts_open", "Open alerts", ("severity", "kind"))
    opened.rows = list(counts.items())
    unseen = Metric("alerts_unacknowledged", "Open alerts that nobody has acknowledged")
    unseen.rows = [((), alerts.count_open())]
    failing = Metric("channel_failing", "Whether a channel that is on cannot be reached", ("channel",))
    failing.rows = [
        ((each.name,), float(each.failing_since is not None)) for each in channels.list_all() if each.enabled
    ]
    yield from (opened, unseen, failing)


def _of_retention(every: Sequence[Config], now: datetime) -> Iterator[Metric]:
    each = Metric("retention_compliant", "Whether a destination complies", ("config", "id", "storage"))
    stand = standings.of_all(every, now)
    for config in every:
        for found in stand.by_config[config.id]:
            names = (config.name, config.id, found.destination.repository.storage.name)
            if found.complies is not None:
                each.rows.append((names, float(found.complies)))
    ratio = Metric("retention_compliance_ratio", "Share of destinations that comply")
    if each.rows:
        ratio.rows = [((), sum(value for _, value in each.rows) / len(each.rows))]
    age = Metric("retention_looked_age_seconds", "How long ago it was looked whether destinations comply")
    age.rows = [((), (now - stand.at).total_seconds())] if stand.at else []
    yield from (each, ratio, age)


def _of_processes(now: datetime) -> Iterator[Metric]:
    up = Metric("process_up", "Whether worker and minute tick were heard of lately", ("node", "role"))
    for node in db.session.scalars(select(Node).order_by(Node.id)):
        for role, seen_at in (("worker", node.worker_seen_at), ("tick", node.tick_seen_at)):
            alive = seen_at is not None and abs(now - seen_at) < nodes.SILENT_FOR
            up.rows.append(((node.hostname, role), float(alive)))
    yield up


def _gauges(
    texts: Mapping[str, str], labels: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], _Values]]
) -> Iterator[Metric]:
    for name, text in texts.items():
        known = [(names, values[name]) for names, values in rows]
        yield Metric(name, text, labels, [(names, value) for names, value in known if value is not None])
