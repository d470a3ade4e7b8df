"""Answers kept for a day under a key that the caller chose, so that a call sent twice is done once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from core import secrets
from core.db import utc_now, write
from core.errors import Conflict, Invalid
from core.models import KeptAnswer

KEEP_FOR = timedelta(hours=24)
# A call takes no longer; one that was begun earlier and has no answer was killed in the middle.
ABANDONED_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered."""

    status: int
    answer: str = field(repr=False)


def begin(caller: str, key: str, request_hash: str) -> Kept | None:
    """Note that a call is begun, or return what was answered to it before.

    Raises Conflict while it is being done, Invalid if the key was used for another call.
    """
    with write() as session:
        _sweep(session)
        row = _find(session, caller, key)
        if row is None:
            session.add(KeptAnswer(caller=caller, key=key, request_hash=request_hash))
            return None
        if row.request_hash != request_hash:
            raise Invalid({"Idempotency-Key": "This key was used for another call: take a new one."})
        if row.status is None:
            raise Conflict("The first call with this key is still being done.", "Wait, then send it again.")
        return Kept(row.status, _unseal(row))


def keep(caller: str, key: str, status: int, answer: str) -> None:
    """Keep the answer of a call that was begun."""
    with write() as session:
        row = _find(session, caller, key)
        if row is not None:
            row.status = status
            row.answer_sealed = secrets.seal(answer, table="kept_answers", row=row.id, column="answer_sealed")


def drop(caller: str, key: str) -> None:
    """Forget a call that did nothing: it may be sent again."""
    with write() as session:
        session.execute(delete(KeptAnswer).where(KeptAnswer.caller == caller, KeptAnswer.key == key))


def _find(session: Session, caller: str, key: str) -> KeptAnswer | None:
    return session.scalar(select(KeptAnswer).where(KeptAnswer.caller == caller, KeptAnswer.key == key))


def _unseal(row: KeptAnswer) -> str:
    return secrets.unseal(row.answer_sealed, table="kept_answers", row=row.id, column="answer_sealed")


def _sweep(session: Session) -> None:
    """Drop what is too old, and what a wrong clock has put into the future."""
    now = utc_now()
    abandoned = KeptAnswer.status.is_(None) & (KeptAnswer.created_at < now - ABANDONED_AFTER)
    old = or_(KeptAnswer.created_at < now - KEEP_FOR, KeptAnswer.created_at > now + KEEP_FOR)
    session.execute(delete(KeptAnswer).where(or_(abandoned, old)))
