"""The audit log: one entry for each change and each read of backed-up data, chained by hashes.

Whoever alters, removes or reorders entries breaks the chain; whoever cuts its end off would have to seal
another end with the master key. `verify` proves it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from core import secrets
from core.access import audit_begin
from core.access.audit_begin import Begin
from core.db import db, utc_now, write
from core.jobs.jobs import Page, paginate
from core.models import AuditEntry, AuditHead

Door = Literal["page", "api", "command"]
# unknown: the process was killed in the middle, see core.access.audit_begun.
Result = Literal["done", "refused", "failed", "unknown"]
DOORS: tuple[Door, ...] = ("page", "api", "command")
RESULTS: tuple[Result, ...] = ("done", "refused", "failed", "unknown")

BEGINNING = audit_begin.NOTHING
_LONGEST = 2000
_LONG = ("target", "detail")
_NAME = 200
_AT_ONCE = 1000
_HEAD = 1
_SEALED_IN = {"table": "audit_heads", "column": "sealed"}


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did; see AuditEntry."""

    actor: str
    door: Door
    action: str
    result: Result
    target: str = ""
    address: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain has found. `problem` is "" if it is whole; `hash` is that of its end."""

    entries: int
    hash: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether nothing was changed, removed or reordered."""
        return not self.problem


def record(deed: Deed) -> None:
    """Add an entry at the end of the chain, in a transaction of its own."""
    with write() as session:
        add(session, deed)


def add(session: Session, deed: Deed) -> None:
    """Add an entry at the end of the chain, in the caller's transaction."""
    head = lock(session)
    entry = AuditEntry(number=head.number + 1, at=utc_now(), previous=head.hash, **cleaned(asdict(deed)))
    entry.hash = _hash(entry)
    session.add(entry)
    head.number, head.hash = entry.number, entry.hash
    head.sealed = secrets.seal(_end(head), row=_HEAD, **_SEALED_IN)


def lock(session: Session) -> AuditHead:
    """Return the end of the chain, which nobody else changes until the transaction ends."""
    return session.get_one(AuditHead, _HEAD, with_for_update=True)


def cleaned(said: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a deed, each on one line and no longer than fits."""
    return {name: _clean(text, _LONGEST if name in _LONG else _NAME) for name, text in said.items()}


def door(word: str) -> Door:
    """Return the door of that name."""
    return next(each for each in DOORS if each == word)


def list_page(
    *, actor: str = "", action: str = "", result: str = "", door: str = "",
    since: datetime | None = None, until: datetime | None = None, page: int = 1, per_page: int = 100,
) -> Page[AuditEntry]:  # fmt: skip
    """Return one page of the entries that fit all filters given, the newest first."""
    query = _filtered(actor, action, result, door, since, until)
    return paginate(query.order_by(AuditEntry.number.desc()), page, per_page)


def actors() -> list[str]:
    """Return everybody who stands in the log."""
    return list(db.session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor)))


def every() -> Iterator[AuditEntry]:
    """Yield all entries, the oldest first, a thousand at a time; what is added meanwhile too."""
    last = 0
    while True:
        query = select(AuditEntry).where(AuditEntry.number > last).order_by(AuditEntry.number).limit(_AT_ONCE)
        found = db.session.scalars(query).all()
        if not found:
            return
        yield from found
        last = found[-1].number
        for entry in found:
            db.session.expunge(entry)


def verify() -> Verified:
    """Look at every entry, and at where the chain begins and ends."""
    begin = audit_begin.read()
    found = _look_from(begin)
    # Entries may have left by age meanwhile: the first that was looked for is not missing then.
    return found if found.ok or audit_begin.read() == begin else verify()


def _look_from(begin: Begin) -> Verified:
    end, sealed = _head_as_read()
    previous, number = begin.hash, begin.number
    if begin.problem:
        return Verified(0, previous, begin.problem)
    for entry in every():
        number += 1
        problem = _wrong(entry, number, previous)
        if not problem and number == end[0] and entry.hash != end[1]:
            problem = f"Entry {number} is not the one at which the log ended."
        previous = entry.hash
        if problem:
            return Verified(number - begin.number, previous, problem)
    return Verified(number - begin.number, previous, _wrong_end(number, end, sealed))


def document(entry: AuditEntry) -> dict[str, object]:
    """Return all that is known of an entry, for an export: enough to verify the chain elsewhere."""
    return {
        "number": entry.number, "at": entry.at.isoformat(), "actor": entry.actor, "door": entry.door,
        "address": entry.address, "action": entry.action, "target": entry.target, "result": entry.result,
        "detail": entry.detail, "previous": entry.previous, "hash": entry.hash,
    }  # fmt: skip


def _filtered(
    actor: str, action: str, result: str, door: str, since: datetime | None, until: datetime | None
) -> Select[AuditEntry]:
    query = select(AuditEntry)
    for column, wanted in (
        (AuditEntry.actor, actor), (AuditEntry.result, result), (AuditEntry.door, door)
    ):  # fmt: skip
        query = query.where(column == wanted) if wanted else query
    if action:
        found = AuditEntry.action.icontains(action, autoescape=True)
        query = query.where(found | AuditEntry.target.icontains(action, autoescape=True))
    query = query.where(AuditEntry.at >= since) if since else query
    return query.where(AuditEntry.at < until) if until else query


def _hash(entry: AuditEntry) -> str:
    said = {name: value for name, value in document(entry).items() if name != "hash"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _end(head: AuditHead) -> str:
    return f"{head.number} {head.hash}"


def _head_as_read() -> tuple[tuple[int, str], str]:
    db.session.rollback()  # what is there now, not what this transaction began with
    head = db.session.get(AuditHead, _HEAD)
    if head is None:  # the migration made it, and nothing takes it away
        return (0, BEGINNING), "gone"
    return (head.number, head.hash), head.sealed


def _wrong(entry: AuditEntry, number: int, previous: str) -> str:
    if entry.number != number:
        return f"Entry {number} is missing: {entry.number} comes next."
    if entry.hash != _hash(entry):
        return f"Entry {number} of {entry.at:%Y-%m-%d %H:%M} UTC was changed."
    if entry.previous != previous:
        return f"Entry {number} does not follow the one before: they were changed, or put in another order."
    return ""


def _wrong_end(number: int, end: tuple[int, str], sealed: str) -> str:
    if number < end[0]:
        return f"The log should go on to entry {end[0]}: its end is missing."
    if number > _head_as_read()[0][0]:  # what was added since the look at its end is behind it by now
        return "There are entries behind the end of the log."
    if not end[0] and not sealed:
        return ""
    try:
        said = secrets.unseal(sealed, row=_HEAD, **_SEALED_IN)
    except secrets.SealBroken:
        return "The row that says where the log ends was changed, or sealed with another master key."
    if said != f"{end[0]} {end[1]}":
        return "The row that says where the log ends was changed."
    return ""


def _clean(text: str, longest: int) -> str:
    """Return a text on one line: nobody writes lines of their own into the log."""
    line = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
