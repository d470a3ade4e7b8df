"""What was begun, before it is done: so that no change is without a trace, wherever the process was killed.

A row is added, durably, before a change; the entry of the chain that says what came of it takes its place.
One whose process has died becomes an entry with the result unknown. A row by itself is in no chain: between a
kill and the next look, who has the database may take it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import delete, select

from core.access import audit
from core.access.audit import Deed
from core.db import db, utc_now, write
from core.jobs import processes
from core.models import BegunDeed

# So long, a row of another container of this machine may be that of somebody who is still at it.
_LONGEST_ELSEWHERE = timedelta(hours=1)
# Those that this process is at: a row of ours that is not among them was left by a request that broke off.
_going_on: set[int] = set()


def begin(deed: Deed) -> int:
    """Note what is about to be done; return its number, for `end`. The result is of no account."""
    settle()
    said = audit.cleaned(asdict(deed) | {"result": "unknown"})
    del said["result"]
    with write() as session:
        row = BegunDeed(**said, **asdict(processes.this_process()))
        session.add(row)
        session.flush()
        _going_on.add(row.id)  # before anybody can see the row
        return row.id


def end(number: int, deed: Deed | None) -> None:
    """Note what came of it, in one transaction with the end of the row. None: it was not even tried."""
    with write() as session:
        audit.lock(session)  # before the row, as `settle` does
        session.execute(delete(BegunDeed).where(BegunDeed.id == number))
        if deed is not None:
            audit.add(session, deed)
        _going_on.discard(number)  # not later: once the row is gone, another may get its number


def let_go(number: int) -> None:
    """Say that this process does nothing about it any more; what was not ended gets the result unknown."""
    _going_on.discard(number)


def going_on() -> Sequence[BegunDeed]:
    """Return what is being done now, or was when its process was killed; the newest first."""
    return db.session.scalars(select(BegunDeed).order_by(BegunDeed.id.desc())).all()


def settle() -> int:
    """Make entries of what nobody is at any more; return how many."""
    if not any(_is_left(row) for row in going_on()):
        return 0
    with write() as session:
        audit.lock(session)  # two processes must not both make entries of the same rows
        left = [row for row in session.scalars(select(BegunDeed).order_by(BegunDeed.id)) if _is_left(row)]
        for row in left:
            audit.add(session, _unknown(row))
            session.delete(row)
        return len(left)


def _is_left(row: BegunDeed) -> bool:
    if processes.is_dead(row) or _is_of_a_container_before(row):
        return True
    return row.id not in _going_on and _is_ours(row)


def _is_of_a_container_before(row: BegunDeed) -> bool:
    """Tell whether a row is old and of another pid namespace of this boot: nobody can say that it is dead."""
    here = processes.this_process()
    if (row.node, row.boot_id) != (here.node, here.boot_id):
        return False
    apart = row.pid_started.partition("@")[2] != here.pid_started.partition("@")[2]
    return apart and row.at < utc_now() - _LONGEST_ELSEWHERE


def _is_ours(row: BegunDeed) -> bool:
    here = processes.this_process()
    return (row.node, row.boot_id, row.pid, row.pid_started) == (
        here.node, here.boot_id, here.pid, here.pid_started
    )  # fmt: skip


def _unknown(row: BegunDeed) -> Deed:
    detail = f"Begun at {row.at:%Y-%m-%d %H:%M:%S} UTC, then cut off: it may be done or not. {row.detail}"
    return Deed(
        actor=row.actor, door=audit.door(row.door), action=row.action, result="unknown", target=row.target,
        address=row.address, detail=detail.strip(),
    )  # fmt: skip
