"""What imports could not make yet: it waits here, and is made once what it lacks is there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from core import words
from core.configs import transfer
from core.configs.transfer import Plan, Step
from core.db import db, utc_now, write
from core.errors import Conflict, HoldfastError, NotFound
from core.models import Awaited

SECTIONS = {"storage": "storages", "config": "configs", "channel": "channels"}

_log = logging.getLogger(__name__)


class HalfMade(Conflict):
    """An import stopped half way: what it had made stays."""


def apply(made: Plan) -> None:
    """Make what a plan can make, and let the rest wait; the same again changes nothing.

    Raises HalfMade where making it stops: what has to wait is kept by then.
    """
    _keep(made)
    try:
        transfer.make(made)
    except HoldfastError as error:
        raise HalfMade(f"Not all of it was made: {error}", "What is here stays; import it again.") from error
    made.made += [f"{step.noun} {step.name}" for step in follow()]


def follow() -> list[Step]:
    """Make what lacks nothing any more, and forget what is there by now; return what was made.

    To be called when a storage or a channel was made. What cannot be made goes on waiting; `why` says why.
    """
    made: list[Step] = []
    # As plain data: where making one fails, or another process makes it, rows are no longer to be read.
    for awaited_id, noun, document in [(row.id, row.noun, row.document) for row in list_all()]:
        try:
            plan = _plan(noun, document)
            transfer.make(plan)
        except HoldfastError as error:
            _log.warning("what an import awaits could not be made: %s", error)
            continue
        if not plan.waiting:
            made += [step for step in plan.steps if step.what == "make"]
            _forget(awaited_id)
    return made


def list_all() -> Sequence[Awaited]:
    """Return what waits: storages, then what may need them."""
    order = list(SECTIONS)
    found = db.session.scalars(select(Awaited).order_by(Awaited.name)).all()
    return sorted(found, key=lambda row: order.index(row.noun))


def count() -> int:
    """Return how many things wait."""
    return db.session.scalar(select(func.count(Awaited.id))) or 0


def get(awaited_id: int) -> Awaited:
    """Return what waits under this number. Raises NotFound."""
    row = db.session.get(Awaited, awaited_id)
    if row is None:
        raise NotFound(f"Nothing waits under the number {awaited_id}.")
    return row


def why(row: Awaited) -> str:
    """Say what it waits for."""
    try:
        return (
            " ".join(words.ended(step.why) for step in _plan(row.noun, row.document).steps)
            or "It can be made now."
        )
    except HoldfastError as error:
        return str(error)


def drop(awaited_id: int) -> Awaited:
    """Wait for it no more. Raises NotFound."""
    row = get(awaited_id)
    _forget(awaited_id)
    return row


def _keep(made: Plan) -> None:
    with write() as session:
        for noun, name, document in made.waiting:
            row = session.scalar(select(Awaited).where(Awaited.noun == noun, Awaited.name == name))
            if row is None:
                session.add(Awaited(noun=noun, name=name, document=document, created_at=utc_now()))
            else:
                row.document = document


def _plan(noun: str, document: Mapping[str, Any]) -> Plan:
    return transfer.plan({"holdfast": transfer.VERSION, SECTIONS[noun]: [document]})


def _forget(awaited_id: int) -> None:
    with write() as session:
        row = session.get(Awaited, awaited_id)
        if row is not None:
            session.delete(row)
