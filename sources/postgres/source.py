"""The databases of a PostgreSQL server as a Source: one dump each, the globals, and a manifest."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from repository.entries import Excluded, Listing, Problem
from sources.made_file import MadeFile, made_entry
from sources.postgres import catalog, manifest
from sources.postgres.catalog import Found
from sources.postgres.dump import DumpFile, DumpOptions, Snapshot, start_dump
from sources.postgres.errors import MissingRight, NoSuchDatabase, ServerUnavailable
from sources.postgres.manifest import Database, LeftOut, Manifest
from sources.postgres.programs import Program, find_program
from sources.postgres.roles import dump_globals
from sources.postgres.server import Server

DATABASES = b"/databases"
GLOBALS = b"/globals.sql"
MANIFEST = b"/manifest.json"
_SUFFIX = b".dump"
_DEFAULTS = DumpOptions()


@dataclass(slots=True)
class DatabasesPreview:
    """What a backup would dump: databases with their sizes on the server; what it leaves out, and why."""

    server_version: str
    databases: list[Found]
    left_out: list[LeftOut]
    problems: list[str]

    @property
    def bytes(self) -> int:
        """The size of all, on the server; that of their dumps is most often less."""
        return sum(database.size_bytes or 0 for database in self.databases)


@dataclass(slots=True)
class _Run:
    """What one backup has found out."""

    manifest: Manifest
    pg_dump: Program
    pg_dumpall: Program
    now_ns: int
    wanted: list[Found]
    left_out: list[LeftOut]
    unreachable: list[str] = field(default_factory=list)


class PostgresSource:
    """`/databases/<name>.dump` (pg_dump's custom format), `/globals.sql` and `/manifest.json`.

    `databases` names those wanted; None is all that there are when the backup starts, but for templates and
    those in `exclude`. Each is consistent in itself, not across databases. Nothing touches a disk on the way.
    A dump that breaks off raises a SourceUnavailable out of the backup: there is no snapshot then.
    `waiting` is called twice a second while the server is waited for, and may raise to cancel.
    """

    def __init__(
        self,
        server: Server,
        databases: Sequence[str] | None = None,
        *,
        exclude: Sequence[str] = (),
        options: DumpOptions = _DEFAULTS,
        hostname: str | None = None,
        now_ns: int | None = None,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        if databases is not None and not databases:
            raise NoSuchDatabase("no database was chosen; name at least one, or choose all")
        self._server = server
        self._names = None if databases is None else sorted(set(databases))
        self._exclude = frozenset(exclude)
        self._options = options
        self._hostname = hostname or (socket.gethostname() if server.is_local else server.host)
        self._now_ns = now_ns
        self._waiting = waiting
        self._current: _Run | None = None

    @property
    def paths(self) -> Sequence[str]:
        """The folder of dumps, or each dump where databases were named; the globals; the manifest."""
        dumps = [DATABASES] if self._names is None else [dump_path(name) for name in self._names]
        return [os.fsdecode(path) for path in [*dumps, GLOBALS, MANIFEST]]

    @property
    def hostname(self) -> str:
        """The machine the server runs on."""
        return self._hostname

    @property
    def manifest(self) -> Manifest:
        """What the last backup dumped, complete once that has ended."""
        return self._run().manifest

    def check(self) -> None:
        """Look at the server anew: log in, find the databases and the programs that fit its version.

        Raises ServerUnavailable, NoSuchDatabase, ProgramMissing, MissingRight.
        """
        self._current = self._begin()
        if not self._current.wanted:
            raise NoSuchDatabase(f"{self._server.place} has no database to dump, apart from those left out")

    def preview(self) -> DatabasesPreview:
        """Return what a backup would dump now. Raises as `check`."""
        run = self._begin()
        return DatabasesPreview(run.manifest.server_version, run.wanted, run.left_out, run.unreachable)

    def list_dir(self, path: bytes) -> Listing:
        """List the root or the folder of dumps. Raises FileNotFoundError for others."""
        run = self._run()
        if path == b"/":
            names = [(DATABASES, True), (GLOBALS, False), (MANIFEST, False)]
            return Listing([made_entry(name[1:], run.now_ns, is_dir=is_dir) for name, is_dir in names])
        if path.rstrip(b"/") != DATABASES:
            raise FileNotFoundError(f"a dump of databases has no folder {path!r}")
        files = sorted(file_name(found.name) for found in run.wanted)
        return Listing(
            [made_entry(name, run.now_ns) for name in files],
            [Problem(dump_path(name), "unreadable", _may_not_connect(name)) for name in run.unreachable],
            [
                Excluded(file_name(left.name), "file", left.reason)
                for left in run.left_out
                if left.name not in run.unreachable
            ],
        )

    def open_files(self, paths: Sequence[bytes]) -> Iterator[DumpFile | MadeFile | Problem]:
        """Open the files, the manifest last: it tells of the others. Raises SourceUnavailable."""
        run = self._run()
        names = {dump_path(found.name): found.name for found in run.wanted}
        for path in sorted(paths, key=lambda each: (each == MANIFEST, each)):
            if path in names:
                yield self._open_dump(run, path, names[path])
            elif path == GLOBALS:
                yield from self._open_globals(run)
            elif path == MANIFEST:
                yield from self._open_manifest(run)
            else:
                yield Problem(path, "vanished", "there is no such dump")

    def _run(self) -> _Run:
        if self._current is None:
            self._current = self._begin()
        return self._current

    def _begin(self) -> _Run:
        try:
            with self._server.reading() as session:
                found = catalog.list_databases(session)
                version, number = catalog.version_text(session), catalog.version_num(session)
        except psycopg.Error as err:
            raise self._failure(err, self._server.database) from err
        now_ns = time.time_ns() if self._now_ns is None else self._now_ns
        made_at = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).isoformat()
        pg_dump = find_program("pg_dump", number // 10000)
        pg_dumpall = find_program("pg_dumpall", number // 10000)
        about = Manifest(self._server.place, version, number, made_at)
        about.tools = {"pg_dump": pg_dump.version, "pg_dumpall": pg_dumpall.version}
        run = _Run(about, pg_dump, pg_dumpall, now_ns, [], [])
        if self._names is None:
            self._choose_all(run, found)
        else:
            run.wanted = _choose_named(self._server, self._names, found)
        about.left_out = list(run.left_out)
        return run

    def _choose_all(self, run: _Run, found: Sequence[Found]) -> None:
        for each in found:
            reason = "excluded" if each.name in self._exclude else each.skip
            if reason:
                run.left_out.append(LeftOut(each.name, reason))
            elif not each.may_connect:
                run.unreachable.append(each.name)
                run.left_out.append(LeftOut(each.name, _may_not_connect(each.name)))
            else:
                run.wanted.append(each)

    def _open_dump(self, run: _Run, path: bytes, name: str) -> DumpFile | Problem:
        """Start a dump. A database of "all" that was dropped meanwhile is a problem, not a failure."""
        try:
            snapshot = Snapshot(self._server, name, os.fsdecode(path[1:]), self._options)
        except (ServerUnavailable, psycopg.Error) as err:
            if self._names is None and self._is_gone(name):
                run.manifest.left_out.append(LeftOut(name, "it was dropped while this backup ran"))
                text = f"database {name!r} was dropped after the backup began; its dump is not in this point"
                return Problem(path, "vanished", text)
            raise self._failure(err, name) from err
        entry = made_entry(path.rpartition(b"/")[2], run.now_ns)

        def on_end(record: Database) -> None:
            run.manifest.databases.append(record)

        return start_dump(
            path, entry, self._server, snapshot, run.pg_dump, self._options, on_end, self._waiting
        )

    def _is_gone(self, name: str) -> bool:
        with self._server.reading() as session:
            return not catalog.exists(session, name)

    def _failure(self, err: Exception, name: str) -> Exception:
        if isinstance(err, ServerUnavailable):
            return err
        text = self._server.scrub(str(err))
        if isinstance(err, psycopg.errors.InsufficientPrivilege):
            return MissingRight(f"the user {self._server.user!r} may not look into {name!r}: {text}")
        return ServerUnavailable(f"looking into database {name!r} on {self._server.place} failed: {text}")

    def _open_globals(self, run: _Run) -> Iterator[MadeFile | Problem]:
        try:
            with self._server.reading() as session:
                dumped = dump_globals(
                    self._server, session, run.pg_dumpall, os.fsdecode(GLOBALS[1:]), self._waiting
                )
        except psycopg.Error as err:
            raise self._failure(err, self._server.database) from err
        run.manifest.globals = dumped.record
        if dumped.record.missing:
            yield Problem(GLOBALS, "unreadable" if dumped.loses else "unsupported", dumped.record.missing)
        if not dumped.loses:
            yield _made(GLOBALS, dumped.content, run.now_ns)

    def _open_manifest(self, run: _Run) -> Iterator[MadeFile | Problem]:
        for name in self._new_since(run):
            text = f"database {name!r} was made after the backup began; the next one takes it"
            run.manifest.left_out.append(LeftOut(name, text))
            yield Problem(dump_path(name), "changed", text)
        for record in run.manifest.databases:
            if record.rows_unknown:
                text = f"rows not counted, so a restore cannot be compared: {record.rows_unknown}"
                yield Problem(dump_path(record.name), "unsupported", text)
            for warning in record.warnings:  # such as: subscriptions are left out
                yield Problem(dump_path(record.name), "incomplete", f"pg_dump warns: {warning}")
        run.manifest.databases.sort(key=lambda database: database.name)
        yield _made(MANIFEST, manifest.encode(run.manifest), run.now_ns)

    def _new_since(self, run: _Run) -> list[str]:
        """Return the databases that were made while this backup of all of them ran."""
        if self._names is not None:
            return []
        known = {found.name for found in run.wanted} | {left.name for left in run.left_out}
        with self._server.reading() as session:
            now = catalog.list_databases(session)
        return [found.name for found in now if not found.skip and found.name not in known]


def _choose_named(server: Server, names: Sequence[str], found: Sequence[Found]) -> list[Found]:
    there = {each.name: each for each in found}
    for name in names:
        each = there.get(name)
        if each is None:
            raise NoSuchDatabase(
                f"there is no database {name!r} on {server.place}; was it renamed or dropped? "
                "Correct the config"
            )
        if not each.may_connect:
            raise MissingRight(f"{_may_not_connect(name)} (user {server.user!r}, {server.place})")
        if each.skip and each.skip != catalog.TEMPLATE:
            raise NoSuchDatabase(f"database {name!r} on {server.place} cannot be dumped: {each.skip}")
    return [there[name] for name in names]


def _may_not_connect(name: str) -> str:
    return (
        f"the user may not connect to database {name!r}; grant CONNECT on it, or exclude it from the config"
    )


def file_name(database: str) -> bytes:
    """Return the name of a database's dump: `%` and `/` are written as in a URL."""
    return database.replace("%", "%25").replace("/", "%2F").encode() + _SUFFIX


def dump_path(database: str) -> bytes:
    """Return the tree path of a database's dump."""
    return DATABASES + b"/" + file_name(database)


def _made(path: bytes, content: bytes, now_ns: int) -> MadeFile:
    return MadeFile(path, made_entry(path[1:], now_ns, size=len(content)), content)
