"""The age of the audit log: old entries leave from its beginning, and the chain still proves the rest.

Where it begins is sealed with the master key, as its end is: who has the rows alone can take nothing away.
A log that is not whole is left as it is: what is wrong with it must stay to be looked at.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select

from core import instance, words
from core.access import audit, audit_begin
from core.access.audit import Deed
from core.db import db, write
from core.models import AuditEntry

BATCH = 500


def trim(before: datetime) -> int:
    """Remove the entries that were made before a time, but for the last one; return how many."""
    first, last = audit_begin.read().number + 1, _last_before(before)
    if last < first or not audit.verify().ok:
        return 0
    for start in range(first, last + 1, BATCH):
        _remove_to(min(last, start + BATCH - 1))
    number = last - first + 1
    target = f"{words.count(number, 'entry')}, up to {last}"
    audit.record(Deed("Holdfast", "command", "audit.age", "done", target))
    return number


def _last_before(before: datetime) -> int:
    """Return the number of the newest entry to go: each up to it is old, whatever the clock said."""
    kept = db.session.scalar(select(func.min(AuditEntry.number)).where(AuditEntry.at >= before))
    newest = db.session.scalar(select(func.max(AuditEntry.number))) or 0
    db.session.rollback()
    return min(newest if kept is None else kept, newest) - 1


def _remove_to(number: int) -> None:
    with write() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.number == number)).one()
        instance.set_secret_in(session, audit_begin.KEY, f"{entry.number} {entry.hash}")
        session.execute(delete(AuditEntry).where(AuditEntry.number <= number))
