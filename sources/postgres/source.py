"""The databases of a PostgreSQL server as a Source: one dump each, the globals, and a manifest."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from repository.entries import Entry, Excluded, Listing, Problem
from sources.made_file import MadeFile, made_entry
from sources.postgres import catalog, manifest
from sources.postgres.catalog import Found
from sources.postgres.choice import Choice, choose_all, choose_named, may_not_connect
from sources.postgres.dump import DumpFile, DumpOptions, Snapshot, start_dump
from sources.postgres.errors import MissingRight, NoSuchDatabase, ServerUnavailable
from sources.postgres.manifest import Database, LeftOut, Manifest
from sources.postgres.programs import Program, find_program
from sources.postgres.roles import dump_globals
from sources.postgres.server import Server
from sources.postgres.tree import DATABASES, GLOBALS, MANIFEST, dump_path
from sources.postgres.work_folder import (
    WorkFile,
    WorkFolder,
    dump_to_folder,
    entries_in,
    gone,
    open_work_file,
    require_room,
    telling,
)

__all__ = ["DATABASES", "GLOBALS", "MANIFEST", "DatabasesPreview", "PostgresSource", "dump_path"]

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
    choice: Choice
    work_folder: WorkFolder | None = None
    work_files: dict[bytes, tuple[Entry, str]] = field(default_factory=dict)


class PostgresSource:
    """`/databases/<name>.dump` (pg_dump's custom format), `/globals.sql` and `/manifest.json`.

    `databases` names those wanted; None is all that there are when the backup starts, but for templates and
    those in `exclude`. Each is consistent in itself, not across databases. Nothing touches a disk on the way
    unless `options.jobs` says so: then a dump is a folder `/databases/<name>.dir`, written to files first.
    A dump that breaks off raises a SourceUnavailable out of the backup: there is no snapshot then.
    `waiting` is called twice a second while the server is waited for, and may raise to cancel; `tell`, an
    attribute, with how far a parallel dump is.
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
        self._parallel = options.jobs > 1
        self.tell: Callable[[str], None] = lambda text: None
        self._current: _Run | None = None

    @property
    def paths(self) -> Sequence[str]:
        """The folder of dumps, or each dump where databases were named; the globals; the manifest."""
        dumps = [DATABASES] if self._names is None else [self._path(name) for name in self._names]
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

        Raises ServerUnavailable, NoSuchDatabase, ProgramMissing, MissingRight; NoWorkRoom if the folder for
        parallel dumps has no room for the largest.
        """
        self._current = self._begin()
        wanted = self._current.choice.wanted
        if not wanted:
            raise NoSuchDatabase(f"{self._server.place} has no database to dump, apart from those left out")
        if self._parallel:
            require_room(self._options.work_folder, max(each.size_bytes or 0 for each in wanted))

    def preview(self) -> DatabasesPreview:
        """Return what a backup would dump now. Raises as `check`."""
        run = self._begin()
        return DatabasesPreview(
            run.manifest.server_version, run.choice.wanted, run.choice.left_out, run.choice.unreachable
        )

    def close(self) -> None:
        """Remove the files of parallel dumps that nobody has read."""
        if self._current is not None and self._current.work_folder is not None:
            self._current.work_folder.close()

    def list_dir(self, path: bytes) -> Listing:
        """List the root or the folder of dumps. Raises FileNotFoundError for others."""
        run = self._run()
        if path == b"/":
            tops = [(DATABASES, True), (GLOBALS, False), (MANIFEST, False)]
            return Listing([made_entry(name[1:], run.now_ns, is_dir=is_dir) for name, is_dir in tops])
        names = {self._path(found.name): found.name for found in run.choice.wanted}
        if self._parallel and path in names:
            return self._dump_to_folder(run, path, names[path])
        if path.rstrip(b"/") != DATABASES:
            raise FileNotFoundError(f"a dump of databases has no folder {path!r}")
        return Listing(
            [made_entry(_name(each), run.now_ns, is_dir=self._parallel) for each in sorted(names)],
            [
                Problem(self._path(name), "unreadable", may_not_connect(name))
                for name in run.choice.unreachable
            ],
            [
                Excluded(_name(self._path(left.name)), "file", left.reason)
                for left in run.choice.left_out
                if left.name not in run.choice.unreachable
            ],
        )

    def open_files(self, paths: Sequence[bytes]) -> Iterator[DumpFile | WorkFile | MadeFile | Problem]:
        """Open the files, the manifest last: it tells of the others. Raises SourceUnavailable."""
        run = self._run()
        names = {self._path(found.name): found.name for found in run.choice.wanted}
        for path in sorted(paths, key=lambda each: (each == MANIFEST, each)):
            if path in names:
                yield self._open_dump(run, path, names[path])
            elif path in run.work_files:
                entry, place = run.work_files.pop(path)
                yield open_work_file(path, entry, place)
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
        if self._names is None:
            choice = choose_all(found, self._exclude)
        else:
            choice = choose_named(self._server, self._names, found)
        about.left_out = list(choice.left_out)
        return _Run(about, pg_dump, pg_dumpall, now_ns, choice)

    def _open_dump(self, run: _Run, path: bytes, name: str) -> DumpFile | Problem:
        """Start a dump. A database of "all" that was dropped meanwhile is a problem, not a failure."""
        snapshot = self._snapshot(run, path, name)
        if isinstance(snapshot, str):
            return Problem(path, "vanished", snapshot)
        entry = made_entry(_name(path), run.now_ns)

        def on_end(record: Database) -> None:
            run.manifest.databases.append(record)

        return start_dump(
            path, entry, self._server, snapshot, run.pg_dump, self._options, on_end, self._waiting
        )

    def _dump_to_folder(self, run: _Run, path: bytes, name: str) -> Listing:
        """Dump a database to files, and list them. Raises SourceUnavailable; OSError if it was dropped."""
        if run.work_folder is None:
            run.work_folder = WorkFolder(self._options.work_folder)
        snapshot = self._snapshot(run, path, name)
        if isinstance(snapshot, str):
            raise gone(snapshot)
        try:
            place = run.work_folder.new_place(snapshot.record.size_bytes or 0)
        except BaseException:
            snapshot.close()
            raise
        waiting = telling(place, name, self.tell, self._waiting)
        record = dump_to_folder(self._server, snapshot, run.pg_dump, self._options, place, waiting)
        run.manifest.databases.append(record)
        entries = entries_in(place, run.now_ns)
        run.work_files.update({path + b"/" + entry.name: (entry, place) for entry in entries})
        return Listing(entries)

    def _snapshot(self, run: _Run, path: bytes, name: str) -> Snapshot | str:
        """Return the snapshot to dump; a sentence if a database of "all" was dropped before its turn."""
        try:
            return Snapshot(self._server, name, os.fsdecode(path[1:]), self._options)
        except (ServerUnavailable, psycopg.Error) as err:
            if self._names is None and self._is_gone(name):
                run.manifest.left_out.append(LeftOut(name, "it was dropped while this backup ran"))
                return f"database {name!r} was dropped after the backup began; its dump is not in this point"
            if isinstance(err, ServerUnavailable):
                raise  # not from itself: whoever follows the causes would never end
            raise self._failure(err, name) from err

    def _path(self, name: str) -> bytes:
        return dump_path(name, folder=self._parallel)

    def _is_gone(self, name: str) -> bool:
        with self._server.reading() as session:
            return not catalog.exists(session, name)

    def _failure(self, err: psycopg.Error, name: str) -> Exception:
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
        if run.work_folder is not None:
            run.work_folder.close()  # the manifest is the last to be read
        for name in self._new_since(run):
            text = f"database {name!r} was made after the backup began; the next one takes it"
            run.manifest.left_out.append(LeftOut(name, text))
            yield Problem(self._path(name), "changed", text)
        for record in run.manifest.databases:
            if record.rows_unknown:
                text = f"rows not counted, so a restore cannot be compared: {record.rows_unknown}"
                yield Problem(self._path(record.name), "unsupported", text)
            for warning in record.warnings:  # such as: subscriptions are left out
                yield Problem(self._path(record.name), "incomplete", f"pg_dump warns: {warning}")
        run.manifest.databases.sort(key=lambda database: database.name)
        yield _made(MANIFEST, manifest.encode(run.manifest), run.now_ns)

    def _new_since(self, run: _Run) -> list[str]:
        """Return the databases that were made while this backup of all of them ran."""
        if self._names is not None:
            return []
        known = {found.name for found in run.choice.wanted} | {left.name for left in run.choice.left_out}
        with self._server.reading() as session:
            now = catalog.list_databases(session)
        return [found.name for found in now if not found.skip and found.name not in known]


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _made(path: bytes, content: bytes, now_ns: int) -> MadeFile:
    return MadeFile(path, made_entry(path[1:], now_ns, size=len(content)), content)
