"""Do a restore of a database, and say "completed" only if nothing failed and all rows are proven."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from core import words
from core.db import db, utc_now
from core.errors import Refused
from core.hosts import host_limits, host_trouble
from core.jobs import attempts, jobs
from core.jobs.attempts import Attempt, WaitingForJob
from core.jobs.outcomes import Outcome, sentence
from core.models import Restore
from core.points import points
from core.restores import database_restores, dump_folder, restore_watch, restores
from core.restores.database_restores import DatabaseRestoreInput, Receiver
from core.restores.restore_source import RestoreSource, sources
from repository.browse import find_node, read_file
from repository.errors import PathNotFound
from repository.progress import Progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from sources.postgres.compare import TableResult
from sources.postgres.restore import Dump, RestoreResult, restore_in_place, restore_to_new
from sources.postgres.source import GLOBALS, MANIFEST
from sources.postgres.tree import is_folder

TABLES_KEPT = 500  # of a result, those that differ first


@dataclass(frozen=True, slots=True)
class _Task:
    restore_id: int
    given: DatabaseRestoreInput
    receiver: Receiver
    jobs: int  # processes, for a dump that several have made


def perform_database_restore(attempt: Attempt) -> Outcome:
    """Do the restore that `attempt` claimed, end the job, and return how. Raises as they do."""
    _require_safety_dump(attempt)
    chosen = attempts.current(attempt).parameters.get("copy_id")
    row = restores.of_job(attempt.job_id)
    found, task = sources(attempt, row.point, chosen), _task(row, chosen)
    host_id = task.receiver.source.host_id
    if host_id is not None:
        host_limits.take_place(attempt, host_id)
    with host_trouble.told(host_id) if host_id is not None else nullcontext():
        # What broke off has left nothing on the server, so the next copy begins anew.
        source, (result, size) = found.read(lambda source, repo: _restore(attempt, task, repo, source))
    _log(attempt, result)
    outcome = _outcome(task, result, size)
    outcome.summary += found.told(source)
    attempts.finish(attempt, outcome, lambda session: _write(session, task, source, result, size))
    return outcome


def _require_safety_dump(attempt: Attempt) -> None:
    """Go on only with a good point of the database that is replaced. Raises WaitingForJob, Refused."""
    job = attempts.current(attempt)
    safety_id = restores.safety_job_of(job)
    if safety_id is None:
        return
    safety = jobs.get(safety_id)
    if not safety.ended:
        raise WaitingForJob(
            f"its safety dump, job {safety_id}, is {safety.status}; nothing is touched before that is stored"
        )
    name = restores.of_job(job.id).database["to"]
    made = points.of_job(safety_id)
    found = database_restores.manifest_of(made) if made is not None else None
    if made is None or found is None or found.find(name) is None:
        raise Refused(
            f"The safety dump of {name} was not made: job {safety_id} is {safety.status}.",
            "Nothing was touched. Mend what that job names, or restore to a new database.",
        )
    attempt.log.add("info", f"The safety dump is point {made.id}, of job {safety_id}.")


def _task(row: Restore, chosen: int | None) -> _Task:
    given = database_restores.input_of(row, chosen)
    receiver = database_restores.receiver_for(row.point, given.server_config_id)
    return _Task(row.id, given, receiver, dump_folder.jobs_for(row.point))


def _restore(
    attempt: Attempt, task: _Task, repo: Repository, source: RestoreSource
) -> tuple[RestoreResult, int]:
    """Return what was done, and the size of the dump."""
    db.session.rollback()
    attempt.report(Progress("opening"))
    snapshot = source.load_snapshot(repo)
    repo.load_index()
    found = database_restores.decode(_read(repo, snapshot, MANIFEST))
    record = found.find(task.given.database)
    if record is None:
        raise Refused(f"The point does not hold {task.given.database!r} any more.")
    dump = Dump(found, record, (), _roles(repo, snapshot))
    if is_folder(record):
        with dump_folder.fetched(attempt, repo, snapshot, record, task.given.work_folder) as folder:
            return _put_back(attempt, task, replace(dump, folder=folder)), record.dump_bytes
    node = find_node(repo, snapshot, database_restores.path_of(record))
    content = _reporting(attempt, read_file(repo, node), node.size)
    return _put_back(attempt, task, replace(dump, content=content)), node.size


def _put_back(attempt: Attempt, task: _Task, dump: Dump) -> RestoreResult:
    given, options = task.given, replace(task.given.options, jobs=task.jobs)
    attempt.log.add("info", f"Restoring {dump.record.name} to {given.to} on {task.receiver.place}.")
    with task.receiver.reached() as server, restore_watch.told(attempt, server, given.to):
        if given.in_place:
            now = utc_now()
            return restore_in_place(server, dump, given.to, options, now=now, waiting=attempt.check)
        return restore_to_new(server, dump, given.to, options, attempt.check)


def _reporting(attempt: Attempt, content: Iterator[bytes], size: int) -> Iterator[bytes]:
    done = 0
    for piece in content:
        attempt.report(Progress("restoring", 0, 1, done, size))
        yield piece
        done += len(piece)
    attempt.report(Progress("verifying", 1, 1, done, size))


def _read(repo: Repository, snapshot: Snapshot, path: bytes) -> bytes:
    return b"".join(read_file(repo, find_node(repo, snapshot, path)))


def _roles(repo: Repository, snapshot: Snapshot) -> bytes:
    try:
        return _read(repo, snapshot, GLOBALS)
    except PathNotFound:
        return b""  # they could not be read when the point was made: its job said so


def _log(attempt: Attempt, result: RestoreResult) -> None:
    for note in result.notes:
        attempt.log.add("info", sentence(note))
    if result.roles and result.roles.made:
        attempt.log.add("info", f"Made the roles {', '.join(result.roles.made)}.")
    for error in result.errors:
        attempt.log.add("error", error)
    for table in _all(result):
        if table.verdict in ("different", "missing"):
            attempt.log.add("error", _differs(table))


def _differs(table: TableResult) -> str:
    name = f"{table.schema}.{table.name}" if table.schema else table.name
    if table.verdict == "missing":
        return f"{name} is missing; it had {_number(table.expected)}."
    return f"{name} had {_number(table.expected)} in the dump, and has {_number(table.found)} now."


def _number(rows: int | None) -> str:
    return "an unknown number of rows" if rows is None else words.count(rows, "row")


def _all(result: RestoreResult) -> list[TableResult]:
    return [*result.tables, *([result.large_objects] if result.large_objects else [])]


def _outcome(task: _Task, result: RestoreResult, size: int) -> Outcome:
    outcome = _judge(task, result)
    tally = Counter(table.verdict for table in _all(result))
    outcome.counts = {
        "tables": len(result.tables), "bytes": size, "rows": sum(table.found or 0 for table in result.tables),
        "equal": tally["equal"], "different": tally["different"] + tally["missing"],
        "unknown": tally["unknown"], "failed": len(result.errors),
    }  # fmt: skip
    outcome.problems = len(result.errors) + outcome.counts["different"]
    return outcome


def _judge(task: _Task, result: RestoreResult) -> Outcome:
    place = f"{task.given.to} on {task.receiver.place}"
    tables = words.count(len(result.tables), "table")
    if not result.rows_agree:
        left = "what was restored was dropped" if result.dropped else f"it stands as {result.database}"
        return Outcome(
            "failed", f"The rows of {task.given.database} do not agree with the dump's; {left}.",
            f"{_untouched(task)}The log names the tables. The backup itself was not changed.",
            "Look at the errors in the log, mend what they name on the server, and restore again.",
        )  # fmt: skip
    if not result.complete or not result.in_place:
        return Outcome(
            "failed",
            f"{words.count(len(result.errors), 'statement')} failed; the data stands as {result.database}, "
            f"not as {task.given.to}.",
            f"{_untouched(task)}No table is known to lack rows, but something else is missing: an index, a "
            "right, a function.",
            "Look at the log. Take it as it is, or drop it, mend what the errors name and restore again: see "
            "“Left by restores” of the config, or `flask backup leftovers`.",
        )
    if result.rows_unknown:
        return Outcome(
            "warning", f"Restored {task.given.database} to {place}: {tables}, not all of them proven.",
            "Nothing failed. The rows of some tables were not counted, in the dump or now, so that they "
            f"agree is not known.{_kept(result)}",
            "Look at the data before you rely on it.",
        )  # fmt: skip
    rows = words.count(sum(table.found or 0 for table in result.tables), "row")
    return Outcome(
        "completed", f"Restored {task.given.database} to {place}: {tables}, {rows}.",
        "No statement failed, and each table has the rows that were counted in the dump's own snapshot."
        + _kept(result),
    )  # fmt: skip


def _untouched(task: _Task) -> str:
    return f"The database {task.given.to} was not touched. " if task.given.in_place else ""


def _kept(result: RestoreResult) -> str:
    return f" The database before is kept as {result.previous} until you drop it." if result.previous else ""


def _write(session: Session, task: _Task, source: RestoreSource, result: RestoreResult, size: int) -> None:
    row = session.get_one(Restore, task.restore_id)
    row.copy_id, row.files, row.bytes = source.copy_id, 1, size
    row.database = {**row.database, "result": _document(result)}


def _document(result: RestoreResult) -> dict[str, Any]:
    """Return a result as it is stored; tables that are not equal come first."""
    tables = sorted(_all(result), key=lambda table: table.verdict == "equal")
    return {
        "database": "" if result.dropped else result.database,
        "previous": result.previous,
        "tables": [asdict(table) for table in tables[:TABLES_KEPT]],
        "more": max(0, len(tables) - TABLES_KEPT),
    }
