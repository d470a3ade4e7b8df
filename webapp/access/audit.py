"""The page of the audit log: who did what, from where, with what result; and its export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from flask import Blueprint, Response, current_app, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from core.access import audit, audit_begun
from core.models import AuditEntry, BegunDeed
from webapp.access import access

blueprint = Blueprint("audit", __name__, url_prefix="/audit")

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@blueprint.get("")
@access.allow("admin")
def index() -> ResponseReturnValue:
    """List who did what, the newest first."""
    chosen = {name: request.args.get(name, "") for name in ("actor", "action", "result", "door")}
    first, last = _day("from"), _day("to")
    found = audit.list_page(
        actor=chosen["actor"], action=chosen["action"], result=chosen["result"], door=chosen["door"],
        since=first, until=last and last + timedelta(days=1), page=request.args.get("page", 1, type=int),
    )  # fmt: skip
    chosen |= {"from": f"{first:%Y-%m-%d}" if first else "", "to": f"{last:%Y-%m-%d}" if last else ""}
    return render_template(
        "audit/index.html", page=found, chosen=chosen, actors=audit.actors(), results=audit.RESULTS,
        doors=audit.DOORS, in_words=in_words, begun=audit_begun.going_on(),
        checked=audit.verify() if "verify" in request.args else None,
    )  # fmt: skip


@blueprint.get("/export")
@access.allow("admin")
def export() -> ResponseReturnValue:
    """Send the whole log: as CSV for people, as a JSON line an entry to verify it elsewhere."""
    as_csv = request.args.get("form") == "csv"
    return attachment(as_csv=as_csv)


def attachment(*, as_csv: bool) -> Response:
    """Return the whole log as a download."""
    lines = csv_lines() if as_csv else json_lines()
    kind, name = ("text/csv", "audit.csv") if as_csv else ("application/x-ndjson", "audit.jsonl")
    response = Response(stream_with_context(lines), mimetype=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def json_lines() -> Iterator[str]:
    """Yield each entry as a line of JSON, the oldest first."""
    for entry in audit.every():
        yield json.dumps(audit.document(entry), ensure_ascii=False) + "\n"


def csv_lines() -> Iterator[str]:
    """Yield the log as CSV; what a spreadsheet would run is quoted."""
    head = list(audit.document(AuditEntry(at=datetime.now(UTC))))
    yield _line(head)
    for entry in audit.every():
        yield _line([_harmless(str(value)) for value in audit.document(entry).values()])


def in_words(entry: AuditEntry | BegunDeed) -> str:
    """Return what an entry's action does, as its view or command says it of itself."""
    view = current_app.view_functions.get(entry.action)
    text = (getattr(view, "said", None) or getattr(view, "__doc__", None) or "").strip()
    return text.partition("\n")[0].rstrip(".") or entry.action


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(values: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue()


def _day(name: str) -> datetime | None:
    try:
        found = date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None
    return datetime.combine(found, time(), UTC) if date(1970, 1, 2) <= found < date(9000, 1, 1) else None
