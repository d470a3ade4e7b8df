"""Calls about the audit log: list, verify, export."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from flask import Response

from core.access import audit
from core.access.audit import Door, Result
from core.models import AuditEntry
from webapp.access import audit as page
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out


class AuditQuery(queries.Days):
    """Which entries. `action`: a part of the action or of what it was about."""

    actor: str = ""
    action: str = ""
    result: Result | None = None
    door: Door | None = None


class ExportQuery(queries.Query):
    """As what."""

    form: Literal["jsonl", "csv"] = "jsonl"


class EntryOut(Out):
    """One thing that somebody did, or was refused. `hash` is over it and `previous`."""

    number: int
    at: datetime
    actor: str
    door: Door
    address: str
    action: str
    target: str
    result: Result
    detail: str
    previous: str
    hash: str


class VerifiedOut(Out):
    """Whether the log is whole; `problem` says what is not. `hash` is that of its end."""

    ok: bool
    entries: int
    hash: str
    problem: str


@door.operation("GET", "/backup/audit", "admin", query=AuditQuery, answer=ListOut[EntryOut])
def list_audit(query: AuditQuery) -> Any:
    """List who did what, the newest first."""
    found = audit.list_page(
        actor=query.actor, action=query.action, result=query.result or "", door=query.door or "",
        since=query.since, until=query.until, page=query.page, per_page=query.per_page,
    )  # fmt: skip
    return answers.page(found, _entry)


@door.operation("GET", "/backup/audit/verify", "admin", answer=VerifiedOut)
def verify_audit() -> VerifiedOut:
    """Prove that no entry was changed, removed or put in another order."""
    found = audit.verify()
    return VerifiedOut(ok=found.ok, entries=found.entries, hash=found.hash, problem=found.problem)


@door.operation(
    "GET", "/backup/audit/export", "admin", query=ExportQuery, media=("application/x-ndjson", "text/csv")
)
def export_audit(query: ExportQuery) -> Response:
    """Send the whole log, the oldest entry first: a JSON line an entry, or CSV."""
    return page.attachment(as_csv=query.form == "csv")


def _entry(row: AuditEntry) -> EntryOut:
    return EntryOut.model_validate({name: getattr(row, name) for name in EntryOut.model_fields})
