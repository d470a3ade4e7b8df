"""Jobs as rows of a table, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from core.jobs import jobs
from core.models import Job

HEAD = (
    "job", "kind", "config", "status", "trigger", "created_at", "started_at", "ended_at", "duration_s",
    "files", "bytes_read", "bytes_added", "problems", "summary",
)  # fmt: skip
_AT_ONCE = 500
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(filters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the jobs that fit (see jobs.list_jobs) as lines of CSV, newest first, after a line of names."""
    yield _line(HEAD)
    for job in _all(filters):
        yield _line(_row(job))


def _all(filters: Mapping[str, Any]) -> Iterator[Job]:
    number, last = 1, None
    while True:
        page = jobs.list_jobs(**filters, page=number, per_page=_AT_ONCE)
        for job in page.items:
            if last is None or job.id < last:  # new ones push others to the next page meanwhile
                last = job.id
                yield job
        if number >= page.pages:
            return
        number += 1


def _row(job: Job) -> tuple[object, ...]:
    took = (job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else None
    return (
        job.id, job.kind, job.config.name if job.config else None, job.status, job.trigger,
        _iso(job.created_at), _iso(job.started_at), _iso(job.ended_at),
        None if took is None else f"{took:.1f}", job.files_done, job.bytes_done,
        job.counts.get("bytes_added_packed", job.bytes_added), job.problems, job.summary,
    )  # fmt: skip


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _line(values: tuple[object, ...]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(["" if value is None else _plain(value) for value in values])
    return out.getvalue()


def _plain(value: object) -> object:
    """Keep a text from being run as a formula by who opens it in a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
