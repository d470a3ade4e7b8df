"""Calls about daily reports."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from core.errors import NotFound
from core.models import Report
from core.reports import reports
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out


class ReportLine(Out):
    """The report of one day (UTC), and whether it was put on a storage."""

    day: date
    created_at: datetime
    stored_at: datetime | None
    key: str


class ReportOut(ReportLine):
    """The same with all that it says."""

    document: dict[str, Any]


@door.operation("GET", "/backup/reports", "viewer", query=queries.Paged, answer=ListOut[ReportLine])
def list_reports(query: queries.Paged) -> Any:
    """List the daily reports, the newest first."""
    return answers.part(reports.list_recent(), _line, query)


@door.operation("GET", "/backup/reports/<day>", "viewer", answer=ReportOut)
def get_report(day: str) -> ReportOut:
    """Return the report of a day, such as 2026-11-23."""
    try:
        row = reports.get(date.fromisoformat(day))
    except ValueError as error:
        raise NotFound(f"There is no report of {day!r}.") from error
    return ReportOut(**_line(row).model_dump(), document=row.document)


def _line(row: Report) -> ReportLine:
    return ReportLine(day=row.day, created_at=row.created_at, stored_at=row.stored_at, key=row.key)
