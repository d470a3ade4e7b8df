"""Put a dump back: into a new database, or in place of one; judged by errors and by rows, table by table."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import psycopg

from sources.postgres import catalog, swap
from sources.postgres.compare import TableResult, Verdict, compare
from sources.postgres.errors import RestoreFailed, RestoreRefused, RestoreTargetFull, ServerUnavailable
from sources.postgres.leftovers import note_child
from sources.postgres.manifest import Database, Manifest, Table
from sources.postgres.programs import Child, in_short
from sources.postgres.properties import create_database, describe
from sources.postgres.restore_plan import (
    RestoreOptions,
    RestorePlan,
    fitted_name,
    maintenance,
    plan_restore,
)
from sources.postgres.roles import RolesRestored, restore_roles
from sources.postgres.server import Server, Session

logger = logging.getLogger(__name__)

DEFAULTS = RestoreOptions()
_MOST_ERRORS = 100
_LONGEST_ERROR = 1000
_ERROR = "pg_restore: error: "
_FULL = ("No space left on device", "Check free disk space", "Disk quota exceeded")


@dataclass(slots=True)
class RestoreResult:
    """What a restore did. `database` is where the data stands: under the name asked for only if all is well.

    `previous` is the name that the database replaced has now, "" if none was; it stays until a person drops
    it. `errors` lists what failed (the first hundred), `notes` what a person should know.
    """

    database: str
    asked_for: str
    previous: str = ""
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[TableResult] = field(default_factory=list)
    large_objects: TableResult | None = None
    roles: RolesRestored | None = None
    dropped: bool = False

    @property
    def rows_agree(self) -> bool:
        """Tell whether no table of the dump is known to differ from the dump's own snapshot."""
        results = [*self.tables, *([self.large_objects] if self.large_objects else [])]
        return all(table.verdict not in ("different", "missing") for table in results)

    @property
    def rows_unknown(self) -> bool:
        """Tell whether some table could not be compared: then the restore is not proven."""
        return any(table.verdict == "unknown" for table in self.tables)

    @property
    def complete(self) -> bool:
        """Tell whether nothing failed and no table differs."""
        return not self.errors and self.rows_agree

    @property
    def in_place(self) -> bool:
        """Tell whether the data stands under the name that was asked for."""
        return not self.dropped and self.database == self.asked_for


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump to restore: the manifest of its point, its record there, its bytes, and those of the roles.

    Of a parallel dump, `folder` is where its files were restored to, and `content` is not looked at.
    """

    manifest: Manifest
    record: Database
    content: Iterable[bytes]
    roles_sql: bytes = b""
    folder: str = ""


def restore_to_new(
    server: Server,
    dump: Dump,
    name: str,
    options: RestoreOptions = DEFAULTS,
    waiting: Callable[[], None] = lambda: None,
) -> RestoreResult:
    """Restore into a new database, which gets its name only when all is there.

    Until then it is `<name>_restoring_<token>`, and stays that if statements failed though the rows agree
    (`accept` takes it as it is, `discard` drops it). With rows missing it is dropped, unless `keep_failed`.
    Raises RestoreRefused (nothing changed), RestoreFailed, RestoreTargetFull, ServerUnavailable,
    ProgramMissing, and whatever the dump's bytes and `waiting` raise; nothing is left then, or it is said.
    """
    plan = plan_restore(server, dump.manifest, dump.record, name, options, dump.roles_sql)
    if plan.taken:
        plan.obstacles.append(f"{server.place} has a database {name!r} already; choose another name")
    return _restore(server, dump, plan, options, waiting)


def restore_in_place(
    server: Server,
    dump: Dump,
    name: str,
    options: RestoreOptions = DEFAULTS,
    *,
    now: datetime,
    waiting: Callable[[], None] = lambda: None,
) -> RestoreResult:
    """Restore beside a database, then put the result in its place, in one transaction.

    The old one is kept as `<name>_before_<time of now>`. Sessions in it are ended for the change. If it
    is not there any more, its name is simply taken. All else as restore_to_new.
    """
    plan = plan_restore(server, dump.manifest, dump.record, name, options, dump.roles_sql)
    result = _restore(server, dump, replace(plan, taken=True), options, waiting)
    if not result.dropped and (result.complete or (options.accept_errors and result.rows_agree)):
        with _as_failure(f"the restored database stands as {result.database!r}, beside the old one"):
            result.previous = swap.put_in_place(server, result.database, name, now)
        result.database = name
    return result


def accept(server: Server, restored: str, name: str) -> None:
    """Give a restored database the name it was meant for. Raises RestoreFailed, also if the name is taken."""
    with _as_failure(f"the restored database stands as {restored!r}"):
        swap.rename(server, restored, name)


def _restore(
    server: Server, dump: Dump, plan: RestorePlan, options: RestoreOptions, waiting: Callable[[], None]
) -> RestoreResult:
    plan.require_clear()
    temporary = fitted_name(plan.name, f"{swap.RESTORING}{secrets.token_hex(4)}")
    result = RestoreResult(temporary, plan.name, notes=list(plan.notes))
    _make_roles(server, dump, plan, result)
    place = maintenance(server, plan.name)
    create_database(place, temporary, dump.record, owner=options.owners, locale=options.own_locale)
    try:
        swap.mark(place, temporary)
        _load(server, dump, plan, result, options, waiting)
        _judge(server, dump.record, result, options)
    except BaseException as err:
        _drop(place, temporary, err, keep=options.keep_failed)
        raise
    _finish(place, plan, result, options)
    return result


def _make_roles(server: Server, dump: Dump, plan: RestorePlan, result: RestoreResult) -> None:
    if plan.missing_roles and dump.roles_sql:
        result.roles = restore_roles(maintenance(server), dump.roles_sql, set(plan.missing_roles))
        lost = sorted(set(plan.missing_roles) - set(result.roles.made))
        if lost:
            reasons = "; ".join(result.roles.errors) or "the point's globals do not hold them"
            raise RestoreRefused(f"the roles {', '.join(lost)} could not be made: {reasons}")
        result.errors += result.roles.errors


def _load(
    server: Server,
    dump: Dump,
    plan: RestorePlan,
    result: RestoreResult,
    options: RestoreOptions,
    waiting: Callable[[], None],
) -> None:
    """Run pg_restore, and note its errors. Raises RestoreTargetFull."""
    arguments = ["--no-password", f"--dbname={server.conninfo(result.database)}"]
    arguments += [f"--jobs={options.jobs}", dump.folder] if dump.folder else ["--format=custom"]
    arguments += [] if options.owners else ["--no-owner", "--no-privileges"]
    arguments += [] if plan.tablespaces else ["--no-tablespaces"]
    child = Child(plan.pg_restore, arguments, server, stdin=not dump.folder)
    try:
        if dump.folder:
            note_child(dump.folder, child.pid)
        else:
            child.feed(dump.content, waiting)
        code = child.wait(waiting)
    finally:
        child.stop()
    messages = child.messages()
    if any(sign in line for line in messages for sign in _FULL):
        raise RestoreTargetFull(f"{server.place} ran out of space: {in_short(messages)}")
    errors = errors_of(messages)
    if code != 0 and not errors:
        errors = [f"pg_restore ended with code {code}: {in_short(messages)}"]
    result.errors += errors[:_MOST_ERRORS]
    if code == 0 and messages:
        result.notes += messages[:_MOST_ERRORS]


def errors_of(messages: Iterable[str]) -> list[str]:
    """Return the errors among pg_restore's messages, each as one line with its details and its command."""
    errors: list[str] = []
    within = False
    for line in messages:
        if line.startswith("pg_restore:"):
            within = line.startswith(_ERROR)
            if within:
                errors.append(line.removeprefix(_ERROR))
        elif within and len(errors[-1]) < _LONGEST_ERROR:
            errors[-1] += f" {line}"
    return errors


def _judge(server: Server, record: Database, result: RestoreResult, options: RestoreOptions) -> None:
    """Set what stands outside of the dump, count the rows, gather statistics. Raises RestoreFailed."""
    with _as_failure(f"the server was lost while {result.database!r} was checked"):
        result.errors += describe(server, result.database, record, rights=options.owners)
        with server.reading(result.database) as session:
            found = {
                (table.schema, table.name): _count(session, table, result)
                for table in catalog.list_tables(session)
            }
            large_objects = catalog.count_large_objects(session)
        result.tables = compare(record, found)
        if record.large_objects is not None:
            verdict: Verdict = "equal" if large_objects == record.large_objects else "different"
            result.large_objects = TableResult(
                "", "large objects", record.large_objects, large_objects, verdict
            )
        if options.analyze and result.rows_agree:
            _analyze(server, result)


def _count(session: Session, table: Table, result: RestoreResult) -> int | None:
    """Count the rows of a table, None if this user may not."""
    try:
        with session.transaction():  # a savepoint
            return catalog.count_rows(session, table)
    except psycopg.errors.InsufficientPrivilege as err:
        result.notes.append(f"the rows of {table.schema}.{table.name} could not be counted: {err}")
        return None


def _analyze(server: Server, result: RestoreResult) -> None:
    """Gather statistics: without them the first queries can take hours."""
    with server.connect(result.database) as session:
        try:
            session.execute("ANALYZE")
        except psycopg.Error as err:
            result.notes.append(f"ANALYZE failed, so queries may be slow at first: {err}")


def _finish(place: Server, plan: RestorePlan, result: RestoreResult, options: RestoreOptions) -> None:
    """Give the database its name if all is well; drop it if rows are missing. A swap comes later."""
    if not result.rows_agree:
        if not options.keep_failed:
            swap.discard(place, result.database)
            result.dropped = True
        return
    if plan.taken or (result.errors and not options.accept_errors):
        return
    with _as_failure(f"the restored database stands as {result.database!r}"):
        swap.rename(place, result.database, plan.name)
    result.database = plan.name


def _drop(place: Server, name: str, err: BaseException, *, keep: bool) -> None:
    """Drop a half-restored database after an error; where that fails, the error says so."""
    if keep:
        err.add_note(f"the half-restored database {name!r} is left on {place.place}, as asked")
        return
    try:
        swap.discard(place, name)
    except (ServerUnavailable, RestoreFailed) as failed:
        left = f"the half-restored database {name!r} is left on {place.place}; drop it ({failed})"
        logger.warning("%s", left)
        err.add_note(left)


@contextmanager
def _as_failure(situation: str) -> Iterator[None]:
    """Turn what the server says no with into RestoreFailed."""
    try:
        yield
    except (psycopg.Error, ServerUnavailable) as err:
        raise RestoreFailed(f"{situation}: {' '.join(str(err).split())}") from err
