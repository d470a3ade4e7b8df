"""One database as a file: what pg_dump writes, with the rows counted inside the very snapshot it dumps."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from msgspec.structs import replace

from repository.entries import Entry
from sources.postgres import catalog
from sources.postgres.errors import DumpFailed, MissingRight, NoWorkRoom, ServerUnavailable
from sources.postgres.manifest import Database
from sources.postgres.programs import Child, Program, in_short
from sources.postgres.server import Server, begin_reading

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """How to dump. `lock_timeout_s`: how long to wait for a table that somebody has locked for himself.

    `schemas_left_out` are left out with all in them, exact names; `large_objects` off leaves those out.
    With `jobs` > 1 so many processes dump each database, to files in `work_folder`, which needs room for it.
    """

    count_rows: bool = True
    large_objects: bool = True
    schemas_left_out: Sequence[str] = ()
    lock_timeout_s: int = 600
    jobs: int = 1
    work_folder: str = ""

    def __post_init__(self) -> None:
        if self.jobs > 1 and not self.work_folder:
            raise NoWorkRoom(
                "parallel dumps go through files: choose a folder with room for the largest database"
            )


class Snapshot:
    """A transaction in one database, held open, whose view pg_dump shares; it counts the rows meanwhile.

    `record` describes the database; `exported` is the snapshot's name, "" where the server would not export
    it, and then the rows stay unknown. Raises ServerUnavailable, psycopg.Error.
    """

    def __init__(self, server: Server, database: str, file: str, options: DumpOptions) -> None:
        self._server = server
        self._options = options
        self._session = server.connect(database)
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.exported = ""
        try:
            begin_reading(self._session)
            self.record = catalog.describe_database(self._session, file)
            self.record.schemas_left_out = sorted(options.schemas_left_out)
            self.record.tables = catalog.list_tables(self._session, options.schemas_left_out)
            self.record.taken_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._export()
        except BaseException:
            self._session.close()
            raise

    def start_counting(self) -> None:
        """Count the rows in a thread of its own."""
        if self._thread is None and not self.record.rows_unknown:
            self._thread = threading.Thread(target=self._count, name="count rows", daemon=True)
            self._thread.start()

    def forget(self, reason: str) -> None:
        """Take note that the dump does not share this snapshot: nothing counted here would say anything."""
        self.record.rows_unknown = reason

    def finish(self, waiting: Callable[[], None]) -> Database:
        """Wait for the counts, end the transaction, return the record. `waiting` may raise."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(_LOOK_EVERY_S)
            waiting()
        self.close()
        return self.record

    def close(self) -> None:
        """End the transaction, and the counting if that still goes on."""
        self._stopped = True
        if self._thread is not None and self._thread.is_alive():
            self._stop_counting(self._thread)
        self._session.close()

    def _stop_counting(self, thread: threading.Thread) -> None:
        """Cancel what it counts until it has ended: a cancel between two queries stops neither."""
        while thread.is_alive():
            try:
                self._session.cancel_safe(timeout=5)
            except psycopg.Error:  # the server takes no call any more: let the thread see an end
                with suppress(OSError, psycopg.Error), self._line() as line:
                    line.shutdown(socket.SHUT_RDWR)
            thread.join(_LOOK_EVERY_S)

    def _line(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._session.fileno()))

    def _export(self) -> None:
        if not self._options.count_rows:
            self.forget("counting was switched off")
            return
        try:
            row = self._session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        except psycopg.Error as err:
            self._session.rollback()  # all else was read before
            self.forget(f"the server, or a pooler before it, exports no snapshot: {self._say(err)}")
        else:
            assert row is not None
            self.exported = row[0]

    def _count(self) -> None:
        """Fill in the rows of all tables, or why they are unknown."""
        try:
            for table in self.record.tables:
                table.rows = catalog.count_rows(self._session, table)
            if self._options.large_objects:
                self.record.large_objects = catalog.count_large_objects(self._session)
        except (psycopg.Error, UnicodeError) as err:
            for table in self.record.tables:
                table.rows = None
            self.forget(f"counting failed: {self._say(err)}")

    def _say(self, err: Exception) -> str:
        return self._server.scrub(str(err))


class DumpFile:
    """A running pg_dump as an OpenFile. Its end is told only after pg_dump has ended well.

    Raises DumpFailed, MissingRight or ServerUnavailable where it did not: then there is no snapshot at all.
    `waiting` is called twice a second while nothing comes; what it raises ends the dump.
    """

    def __init__(
        self,
        path: bytes,
        entry: Entry,
        snapshot: Snapshot,
        child: Child,
        server: Server,
        on_end: Callable[[Database], None],
        waiting: Callable[[], None],
    ) -> None:
        self.path = path
        self.entry = entry
        self._snapshot = snapshot
        self._child = child
        self._server = server
        self._on_end = on_end
        self._waiting = waiting
        self._size = 0
        self._ended = False

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with what pg_dump writes; return the count of bytes, 0 once it has ended well."""
        if self._ended:
            return 0
        count = self._child.read_much(buffer, self._waiting)
        self._size += count
        if not count:
            self._end()
        return count

    def entry_now(self) -> Entry:
        """Return the same entry: a dump shows one moment."""
        return self.entry

    def close(self) -> None:
        """End pg_dump and the snapshot, if they still go on."""
        self._child.stop()
        self._snapshot.close()

    def _end(self) -> None:
        require_success(self._child, self._server, self._snapshot.record.name, self._waiting)
        if not self._size:
            raise DumpFailed(f"pg_dump of {self._snapshot.record.name!r} wrote nothing, and gave no reason")
        record = self._snapshot.finish(self._waiting)
        record.dump_bytes = self._size
        record.warnings = self._child.messages()
        self._ended = True
        self._on_end(record)


def start_dump(
    path: bytes,
    entry: Entry,
    server: Server,
    snapshot: Snapshot,
    program: Program,
    options: DumpOptions,
    on_end: Callable[[Database], None],
    waiting: Callable[[], None],
) -> DumpFile:
    """Start pg_dump of a snapshot's database, and wait for its first byte: the file is open then.

    A pooler may lead pg_dump to another server than the one that exported the snapshot: then it is started
    once more without, and the rows stay unknown. Raises as DumpFile; the snapshot is closed then.
    """
    taken = datetime.fromisoformat(snapshot.record.taken_at)
    entry = replace(entry, mtime_ns=int(taken.timestamp()) * 1_000_000_000)
    child = None
    try:
        child = _start(server, snapshot, program, options)
        if not _begins(child, waiting) and snapshot.exported and _snapshot_refused(child, waiting):
            reason = in_short(child.messages())
            child.stop()
            snapshot.exported = ""
            snapshot.forget(f"pg_dump could not use the exported snapshot (a pooler?): {reason}")
            child = _start(server, snapshot, program, options)
            _begins(child, waiting)
        snapshot.start_counting()
    except BaseException:
        if child is not None:
            child.stop()
        snapshot.close()
        raise
    return DumpFile(path, entry, snapshot, child, server, on_end, waiting)


def _start(server: Server, snapshot: Snapshot, program: Program, options: DumpOptions) -> Child:
    return Child(program, ["--format=custom", *dump_arguments(server, snapshot, options)], server)


def dump_arguments(server: Server, snapshot: Snapshot, options: DumpOptions) -> list[str]:
    """Return pg_dump's arguments for a snapshot's database, whatever the format."""
    arguments = [
        "--compress=0",  # the repository compresses, and finds what it holds already
        "--no-password",
        f"--lock-wait-timeout={options.lock_timeout_s}s",
        f"--dbname={server.conninfo(snapshot.record.name)}",
    ]
    if snapshot.exported:
        arguments.append(f"--snapshot={snapshot.exported}")
    if not options.large_objects:
        arguments.append("--no-blobs")
    # In double quotes a pattern is a name.
    return arguments + [
        '--exclude-schema="' + name.replace('"', '""') + '"' for name in options.schemas_left_out
    ]


def _begins(child: Child, waiting: Callable[[], None]) -> bool:
    """Wait for the first byte, or the end; tell whether there is one."""
    child.await_output(waiting)
    return child.has_output()


def _snapshot_refused(child: Child, waiting: Callable[[], None]) -> bool:
    """Tell whether a pg_dump that wrote nothing failed over the snapshot: the statement is named, whatever
    the language of the server's messages."""
    return child.wait(waiting) != 0 and any("SET TRANSACTION SNAPSHOT" in line for line in child.messages())


def require_success(child: Child, server: Server, database: str, waiting: Callable[[], None]) -> None:
    """Wait for a dump program's end; raise the error that fits unless it ended with 0."""
    code = child.wait(waiting)
    if code == 0:
        return
    text = in_short(child.messages())
    what = f"the dump of {database!r} on {server.place} broke off"
    if code < 0:
        raise DumpFailed(f"{what}: pg_dump was killed (signal {-code}); nothing of it was kept. Run it again")
    if "permission denied" in text or "row-level security" in text:
        raise MissingRight(
            f"{what}: the user {server.user!r} may not read everything: {text}. Give it "
            "the rights (the check of rights lists them), or leave the schema out"
        )
    if "LOCK TABLE" in text:
        raise DumpFailed(
            f"{what}: a table stayed locked by somebody else for longer than a dump waits: {text}. Nothing "
            "of it was kept; run it again when that program is done, or let it wait longer"
        )
    if "No space left on device" in text and "from server" not in text:
        raise NoWorkRoom(f"{what}: {text}. Nothing of it was kept; make room, or choose another folder")
    if "connection" in text:
        raise ServerUnavailable(
            f"{what}: {text}. Nothing of it was kept; see that the server runs, then run it again"
        )
    raise DumpFailed(f"{what}: {text}. Nothing of it was kept")
