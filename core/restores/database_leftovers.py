"""Databases that restores made or replaced and that wait for a person: dropped, or put in place."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sqlalchemy import select

from core.configs import config_source
from core.configs.source_database import DatabaseSource, place_of, reached
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, NotFound, Refused
from core.jobs.outcomes import sentence
from core.models import Config, Job, Point, Restore
from repository.entries import SourceUnavailable, TargetError
from sources.postgres import swap
from sources.postgres.server import Server
from sources.postgres.swap import Leftover

_log = logging.getLogger(__name__)
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Left:
    """A database on a server that a restore left. `kind`: `before`, one that was replaced; `restoring`, one
    that never got its name. `meant_for`: the name it had, or was to get; `is_taken`: a database has that
    name now. `job_id`: the restore, if known."""

    name: str
    kind: str
    size_bytes: int | None
    meant_for: str
    is_taken: bool
    job_id: int | None

    @property
    def may_be_used(self) -> bool:
        """Tell whether it is known to be whole: not one whose restore was killed, maybe in the middle."""
        return self.kind == "before" or self.job_id is not None


def list_left(config: Config) -> list[Left]:
    """Return what restores left on a config's server, by name. Raises Refused if it does not answer."""
    with _refusing(), _server(config) as server:
        found = swap.leftovers(server)
        names = swap.names(server) if found else set()
    rows = _rows()
    return [_described(each, rows, names) for each in sorted(found, key=lambda each: each.name)]


def drop(config: Config, name: str, typed: str) -> None:
    """Drop one of them, for ever; `typed`: its name again. Raises Invalid, NotFound, Conflict, Refused."""
    left = _find(config, name)
    if typed != left.name:
        raise Invalid({"typed": f"Type the whole name, {left.name}, to drop it: that cannot be undone."})
    _refuse_while_restoring(left)
    with _refusing(), _server(config) as server:
        swap.discard(server, left.name)
    _note(left.name, "dropped")
    _log.warning("the database %s on %s was dropped on request", left.name, place_of(_source(config)))


def put_in_place(config: Config, name: str) -> str:
    """Give one of them the name it is meant for; return the name that the one there before has now, if any.

    Sessions in that one are ended. Raises NotFound, Conflict, Refused.
    """
    left = _find(config, name)
    _refuse_while_restoring(left)
    if not left.may_be_used:
        raise Refused(
            f"How the restore into {left.name} ended is not known: it may hold a part of the rows only.",
            "Drop it, and restore again.",
        )
    with _refusing(), _server(config) as server:
        kept = swap.put_in_place(server, left.name, left.meant_for, utc_now())
    _note(left.name, "put in place")
    place = place_of(_source(config))
    _log.warning("the database %s on %s was put in place of %s", left.name, place, left.meant_for)
    return kept


def _find(config: Config, name: str) -> Left:
    found = next((each for each in list_left(config) if each.name == name), None)
    if found is None:
        raise NotFound(f"No restore left a database {name!r} on that server.", "It may have been dropped.")
    return found


def _described(left: Leftover, rows: Sequence[Restore], names: Collection[str]) -> Left:
    """Add what the restore's row knows: a long name is cut short to make room for what is added to it."""
    row = next((row for row in rows if _is_of(row, left.name)), None)
    meant_for = row.database["to"] if row is not None else left.meant_for
    return Left(
        left.name, left.kind, left.size_bytes, meant_for, meant_for in names, row.job_id if row else None
    )


def _rows() -> Sequence[Restore]:
    """Return the newest restores of databases."""
    query = select(Restore).join(Point).join(Config, Point.config_id == Config.id)
    query = query.where(Config.type == "database").order_by(Restore.id.desc()).limit(_LOOKED_AT)
    return [row for row in db.session.scalars(query) if row.database]


def _refuse_while_restoring(left: Left) -> None:
    if left.kind != "restoring":
        return
    query = select(Job.id).where(Job.kind == "restore", Job.status == "running").limit(1)
    if (job_id := db.session.scalar(query)) is not None:
        raise Conflict(
            f"Job {job_id} is restoring now, maybe into {left.name}.",
            "Wait until it has ended, or cancel it.",
        )


def _note(name: str, what: str) -> None:
    """Write what became of a database to the restore that left it."""
    ids = [row.id for row in _rows() if _is_of(row, name)]
    with write() as session:
        for restore_id in ids:
            row = session.get_one(Restore, restore_id)
            became = {**row.database["result"].get("became", {}), name: what}
            row.database = {**row.database, "result": {**row.database["result"], "became": became}}


def _is_of(row: Restore, name: str) -> bool:
    result = row.database.get("result", {})
    return name in (result.get("previous"), result.get("database"))


def _source(config: Config) -> DatabaseSource:
    source = config_source.source_of(config)
    if not isinstance(source, DatabaseSource):
        raise Refused(f"{config.name} backs up no database.", "Nothing was changed.")
    return source


def _server(config: Config) -> AbstractContextManager[Server]:
    return reached(_source(config), config_source.password_of(config), quick=True)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (SourceUnavailable, TargetError) as error:
        raise Refused(sentence(str(error)), "Nothing was changed.") from error
