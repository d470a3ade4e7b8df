"""What the commands print: sentences and tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from core import words
from core.configs import states
from core.configs.states import Verdict
from core.jobs import jobs, nodes
from core.models import Config, Job, Point
from core.points import points as core_points

_SHOWN_PROBLEMS = 10


def queued(found: Sequence[Job], *, as_json: bool) -> None:
    """Say which jobs were put into the queue."""
    if as_json:
        _document({"jobs": [_job(job) for job in found]})
        return
    for job in found:
        click.echo(f"{_name(job)}: queued as job {job.id}.")


def ended(job: Job) -> None:
    """Say how a job ended, what it means, what to do, and what it could not do."""
    click.echo(f"{_name(job)}: {job.status}. {job.summary}")
    if job.status == "completed":
        return
    for text in (job.meaning, job.advice):
        if text:
            click.echo(f"  {text}")
    log = jobs.log_lines(job.id, problems_only=True, per_page=_SHOWN_PROBLEMS)
    for line in log.items:
        click.echo(f"  {line.path + ': ' if line.path else ''}{line.message}")
    if log.total > len(log.items):
        click.echo(f"  … and {log.total - len(log.items):,} more in the log of job {job.id}.")


def ended_as_json(found: Sequence[Job]) -> None:
    """Print how jobs ended."""
    _document({"jobs": [_job(job) for job in found]})


def status(verdict: Verdict, every: Sequence[Config], *, as_json: bool) -> None:
    """Print the verdict, and the state of each config."""
    shown = [(config, states.state(config), states.facts(config)) for config in every]
    works = nodes.worker_lives()
    if as_json:
        _document(
            {
                "worker_running": works,
                "level": verdict.level,
                "verdict": verdict.sentence,
                "reasons": [reason.text for reason in verdict.reasons],
                "configs": [
                    {
                        "id": config.id,
                        "name": config.name,
                        "state": state.word,
                        "reason": state.reason,
                        "last_good_at": _iso(facts.last_good.taken_at if facts.last_good else None),
                        "next_run_at": _iso(facts.next_run),
                        "good_points": facts.good_points,
                    }
                    for config, state, facts in shown
                ],
            }
        )
        return
    click.echo(verdict.sentence)
    for reason in verdict.reasons:
        click.echo(f"  - {reason.text}")
    rows = [
        (
            config.name,
            state.word,
            _when(facts.last_good.taken_at if facts.last_good else None, config, "never"),
            _when(facts.next_run, config, "by hand only") if works or not facts.next_run else "-",
            state.reason,
        )
        for config, state, facts in shown
    ]
    table(("CONFIG", "STATE", "LAST GOOD", "NEXT RUN", "WHY"), rows)
    if not works:
        _tell_of_no_worker()


def _tell_of_no_worker() -> None:
    click.echo("No worker is running: nothing is scheduled to run until `make run`, or a service, runs.")
    for job in jobs.list_jobs(status="queued").items:
        click.echo(f"  - Job {job.id} ({_name(job)}) is queued, and waits for that too.")


def points(found: Sequence[tuple[Config, Sequence[Point]]], *, as_json: bool) -> None:
    """Print the points of configs."""
    if as_json:
        _document({"points": [_point(config, point) for config, every in found for point in every]})
        return
    rows = [
        (
            str(point.id),
            config.name,
            words.moment(point.taken_at, config.timezone),
            f"{point.files:,}",
            words.size(point.bytes),
            words.size(point.bytes_added),
            _point_state(point),
        )
        for config, every in found
        for point in every
    ]
    if rows:
        table(("POINT", "CONFIG", "TAKEN", "FILES", "SIZE", "ADDED", "STATE"), rows)
    else:
        click.echo("There are no points yet. Run `flask backup all --wait` to make the first.")


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "config": job.config.name if job.config else None,
        "status": job.status,
        "summary": job.summary,
        "meaning": job.meaning,
        "advice": job.advice,
        "problems": job.problems,
        "counts": job.counts,
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
    }


def _point(config: Config, point: Point) -> dict[str, Any]:
    return {
        "id": point.id,
        "config": config.name,
        "taken_at": _iso(point.taken_at),
        "files": point.files,
        "bytes": point.bytes,
        "bytes_added": point.bytes_added,
        "warnings": point.warnings,
        "state": _point_state(point),
        "snapshots": [copy.snapshot_id for copy in point.copies],
    }


def _point_state(point: Point) -> str:
    if not core_points.is_good(point):
        return "in the trash"
    return f"{words.count(point.warnings, 'thing')} missing" if point.warnings else "good"


def _name(job: Job) -> str:
    return job.config.name if job.config else job.kind.capitalize()


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _when(at: datetime | None, config: Config, otherwise: str) -> str:
    return words.moment(at, config.timezone) if at else otherwise


def _document(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, each column as wide as it needs."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
