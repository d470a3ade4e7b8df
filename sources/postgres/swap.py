"""Names of databases: a restored one takes the place of another, which is kept under a name with the time."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from sources.postgres import catalog
from sources.postgres.errors import RestoreFailed, RestoreRefused, ServerUnavailable
from sources.postgres.restore_plan import fitted_name, maintenance
from sources.postgres.server import Server, Session

RESTORING = "_restoring_"
BEFORE = "_before_"
_TIMES = 5
_END_EVERY_S = 0.2
_MARK = "Holdfast: a restore is writing here; if none runs, drop it"
_OURS = re.compile(rf"{RESTORING}[0-9a-f]{{8}}\Z|{BEFORE}\d{{8}}T\d{{6}}Z(_\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A database that a restore made (`restoring`) or replaced (`before`), and that a person may drop."""

    name: str
    kind: str
    size_bytes: int | None

    @property
    def meant_for(self) -> str:
        """The name that it had, or was to get; cut short where that one is long."""
        return _OURS.sub("", self.name)


def mark(server: Server, name: str) -> None:
    """Say in a database's comment that a restore is writing to it."""
    with _session(server) as session:
        session.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(_MARK))
        )


def put_in_place(server: Server, restored: str, name: str, now: datetime) -> str:
    """Give `restored` the name `name`; return the name the one before is kept under, "" if none was.

    Both renames are one transaction. Sessions in both databases are ended. Raises RestoreFailed.
    """
    place = maintenance(server, name, restored)
    with _session(place) as session:
        for _ in range(_TIMES):
            kept = _free_name(session, name, now) if catalog.exists(session, name) else ""
            try:
                _end_sessions(session, restored)  # somebody may have looked into it
                with _without_sessions(place, name), session.transaction():
                    if kept:
                        _rename(session, name, kept)
                    _rename(session, restored, name)
            except psycopg.errors.ObjectInUse:
                continue
            return kept
    raise RestoreFailed(
        f"database {name!r} stays in use by sessions that this user cannot end, so it was not replaced. "
        f"The restored data stands as {restored!r}: stop the programs that use {name!r}, then try again"
    )


def rename(server: Server, name: str, to: str) -> None:
    """Rename a database that nobody uses. Raises RestoreFailed."""
    with _session(maintenance(server, name, to)) as session:
        _rename(session, name, to)


def discard(server: Server, name: str) -> None:
    """Drop a database that a restore made or replaced. Raises RestoreRefused for any other, RestoreFailed."""
    if not _OURS.search(name):
        raise RestoreRefused(f"{name!r} was not made by a restore, so it is not dropped here")
    with _session(maintenance(server, name)) as session:
        _end_sessions(session, name)
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def leftovers(server: Server) -> list[Leftover]:
    """Return the databases that restores made or replaced and nobody dropped. Raises ServerUnavailable."""
    with server.reading() as session:
        found = catalog.list_databases(session)
    return [
        Leftover(each.name, match[0].split("_")[1], each.size_bytes)
        for each in found
        if (match := _OURS.search(each.name))
    ]


def names(server: Server) -> set[str]:
    """Return the names of all databases. Raises ServerUnavailable."""
    with server.reading() as session:
        return {each.name for each in catalog.list_databases(session)}


def _free_name(session: Session, name: str, now: datetime) -> str:
    stamp = f"{BEFORE}{now:%Y%m%dT%H%M%SZ}"
    candidates = [stamp, *(f"{stamp}_{count}" for count in range(2, 100))]
    names = (fitted_name(name, suffix) for suffix in candidates)
    return next(each for each in names if not catalog.exists(session, each))


def _end_sessions(session: Session, name: str) -> None:
    session.execute(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND backend_type = 'client backend'",
        [name],
    )


@contextmanager
def _without_sessions(server: Server, name: str) -> Iterator[None]:
    """End the sessions in a database again and again, in a thread, until the end of the block.

    A rename keeps new ones out and waits 5 s for those that came before: they must end meanwhile.
    """
    done = threading.Event()
    refusals: list[Exception] = []

    def end() -> None:
        try:
            with server.connect() as session:
                while not done.is_set():
                    _end_sessions(session, name)
                    done.wait(_END_EVERY_S)
        except (psycopg.Error, ServerUnavailable) as err:
            refusals.append(err)

    thread = threading.Thread(target=end, name="end sessions", daemon=True)
    thread.start()
    try:
        yield
    except psycopg.errors.ObjectInUse as err:
        done.set()
        thread.join()
        if refusals:
            raise RestoreFailed(
                f"the sessions in {name!r} could not be ended: {server.scrub(str(refusals[0]))}"
            ) from err
        raise
    finally:
        done.set()
        thread.join()


def _rename(session: Session, name: str, to: str) -> None:
    session.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
    )


@contextmanager
def _session(server: Server) -> Iterator[Session]:
    """Hold a session for changes. Raises ServerUnavailable, and RestoreFailed for what the server refuses."""
    with server.connect() as session:
        try:
            yield session
        except psycopg.Error as err:
            raise RestoreFailed(f"{server.place} refused: {server.scrub(str(err))}") from err
