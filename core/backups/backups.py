"""Backups: read a config's source, store it as a snapshot, read that back, and only then say so."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import app_state, words
from core.alerting.lost_packs import tell_lost_packs
from core.backups import failover
from core.backups.expected import Expected
from core.backups.readback import read_back, reject
from core.configs import config_source, timing
from core.configs.config_source import AnySource
from core.db import db, utc_now
from core.errors import NotFound
from core.hosts import host_limits, host_trouble
from core.jobs import attempts
from core.jobs.attempts import Attempt
from core.jobs.dead_locks import remove_dead_locks
from core.jobs.outcomes import Outcome
from core.models import Config, Copy, Point, RepositoryRecord
from core.points import catalog_fill, points
from core.points.adoption import TAG, add_point
from core.points.reconcile import Findings, reconcile
from core.retention import quota
from core.storages import storages
from repository.backup import BackupOptions, BackupResult, backup
from repository.compression import Mode
from repository.entries import Problem, Source
from repository.errors import Damaged, RepositoryError
from repository.locks import Lock, lock_repository
from repository.progress import Progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tally import Tally
from repository.tree_cache import TreeCache
from sources.preview import Totals

TREE_CACHE = os.path.join("cache", "unchanged")  # below the data folder, which no backup holds


@dataclass(frozen=True, slots=True)
class _Task:
    """What the rows say, read once: no transaction stays open while files are read."""

    config_id: str
    name: str
    source: AnySource
    password: str = field(repr=False)
    record_id: str
    compression: Mode
    full_read: bool
    last_time: Totals | None
    allow_empty: bool
    longest_s: int | None
    passed_over: str = ""  # why it does not go where it should, in a sentence


def perform_backup(attempt: Attempt) -> Outcome:
    """Do the backup that `attempt` claimed, end the job, and return how. Raises what the engine raises.

    If the storage that it should go to is down, the next destination that may take its place gets it.
    """
    attempt.report(Progress("opening"))
    task = _task(attempt)
    attempt.end_after(task.longest_s)
    host_id = config_source.host_of(task.source)
    if host_id is not None:
        host_limits.take_place(attempt, host_id)
    with host_trouble.told(host_id) if host_id is not None else nullcontext():
        return failover.to_first_that_answers(
            attempt,
            failover.candidates(task.config_id),
            lambda record_id, why: _back_up_to(attempt, replace(task, record_id=record_id, passed_over=why)),
        )


def _back_up_to(attempt: Attempt, task: _Task) -> Outcome:
    attempts.note_repository(attempt, task.record_id)
    quota.require_room(_record(task).storage)
    repo = _open(task)
    try:
        removed = remove_dead_locks(repo)
        if removed:
            attempt.log.add("info", f"Removed {words.count(len(removed), 'lock')} of jobs that were killed.")
        with lock_repository(repo, on_lock_id=attempt.hold_lock) as lock:
            found = reconcile(repo, _record(task), attempt.job_id)
            _log_findings(attempt, found)
            outcome = _back_up(attempt, task, repo, lock, _parent(task, found))
        catalog_fill.after_backup(attempt.job_id, repo, task.record_id, attempt.stopped)
        return outcome
    finally:
        repo.close()


def earlier(config_id: str | None) -> str:
    """Say what a failed backup means for the data: what there is to fall back on."""
    config = db.session.get(Config, config_id) if config_id else None
    if config is None:
        return "Nothing that was stored earlier is lost."
    last = points.latest(config.id)
    if last is None:
        return "There is no good point of this config yet, so it is not protected."
    when = words.moment(last.taken_at, config.timezone)
    return f"Nothing earlier is lost: the last good point is from {when}."


def _task(attempt: Attempt) -> _Task:
    job = attempts.current(attempt)
    config = job.config
    if config is None or config.deleted_at is not None:
        raise NotFound("The config of this backup was deleted before it began.", "Nothing has to be done.")
    if not config.destinations:
        raise NotFound(f"{config.name} has no storage.", "Edit the config and choose where it goes.")
    return _Task(
        config.id,
        config.name,
        config_source.source_of(config),
        config_source.password_of(config),
        config.destinations[0].repository_id,
        config.compression,  # type: ignore[arg-type]  # checked by ConfigInput
        _full_read_is_due(config),
        _last_time(config),
        bool(job.parameters.get("allow_empty")),
        timing.of(config).max_duration,
    )


def _last_time(config: Config) -> Totals | None:
    last = points.latest(config.id)
    return None if last is None else Totals(last.files, last.bytes)


def _full_read_is_due(config: Config) -> bool:
    query = select(func.max(Point.taken_at)).where(
        Point.config_id == config.id, Point.full_read, points.not_from_future()
    )
    last = db.session.scalar(query)
    return last is None or utc_now() - last >= timedelta(days=config.full_read_days)


def _open(task: _Task) -> Repository:
    mode = config_source.compression(task.source, task.compression)
    repo = storages.open_repository(_record(task), mode)
    db.session.rollback()
    return repo


def _record(task: _Task) -> RepositoryRecord:
    return storages.get_repository(task.record_id)


def _parent(task: _Task, found: Findings) -> bytes | None:
    """Return the snapshot to compare with: that of the newest good point which can be read."""
    query = select(Copy.snapshot_id).join(Point).where(
        Point.config_id == task.config_id,
        Copy.repository_id == task.record_id,
        Copy.trashed_at.is_(None),
        Copy.forgotten_at.is_(None),
        Copy.lost_at.is_(None),
        points.not_from_future(),
    )  # fmt: skip
    for name in db.session.scalars(query.order_by(Point.taken_at.desc())):
        if bytes.fromhex(name) in found.stored:
            return bytes.fromhex(name)
    return None


def _back_up(attempt: Attempt, task: _Task, repo: Repository, lock: Lock, parent: bytes | None) -> Outcome:
    options = BackupOptions(
        tags=[TAG + task.config_id],
        parent=parent,
        excludes=config_source.excludes(task.source),
        zone=ZoneInfo(app_state.settings().timezone),
        read_all=task.full_read,
        refuse_empty=not task.allow_empty,
    )
    _log_plan(attempt, task, parent)
    source = config_source.open_source(task.source, task.password, attempt.check)
    config_source.tell_work(source, lambda text: _tell(attempt, text))
    with (
        config_source.closed_after(source),
        TreeCache(os.path.join(app_state.settings().data_dir, TREE_CACHE), source) as cache,
        Expected(config_source.countable(task.source), task.last_time) as expected,
    ):
        db.session.rollback()
        result = backup(
            repo,
            source,
            options,
            lock,
            lambda progress: attempt.report(expected.fill(progress)),
            lambda problem: _log(attempt, problem),
            cache,
        )
    # Not `report`: the snapshot is stored, so a cancel request comes too late.
    attempt.progress = Progress("verifying", result.files_total, None, result.bytes_processed)
    for line in config_source.told(source):
        attempt.log.add("info", line)
    limits = config_source.limits(source)
    outcome = failover.told(_outcome(result, source), task.passed_over)
    tell_lost_packs(attempt.log, task.record_id, result.lost_packs)
    db.session.rollback()
    attempt.log.add("info", f"Snapshot {result.snapshot_hex[:8]} is stored; reading it back.")
    snapshot = _read_back(repo, task, result)
    attempt.log.add("info", "The snapshot and a sample of what it holds were read back from the storage.")

    def add_rows(session: Session) -> None:
        point = add_point(
            session, task.record_id, result.snapshot_id, snapshot,
            config_id=task.config_id, job_id=attempt.job_id,
            full_read=task.full_read, warnings=result.problems_lost,
        )  # fmt: skip
        point.limits = {"limits": limits} if limits else {}

    attempts.finish(attempt, outcome, add_rows)
    return outcome


def _tell(attempt: Attempt, text: str) -> None:
    attempt.report(replace(attempt.progress or Progress("reading"), current=text.encode()))


def _read_back(repo: Repository, task: _Task, result: BackupResult) -> Snapshot:
    """Find the new snapshot in a fresh listing; read it and a sample of what it holds from the storage."""
    if result.snapshot_id not in {file.id for file in repo.files.list("snapshots")}:
        raise Damaged("the storage took the snapshot and does not list it, so this backup does not count")
    if result.data_blobs or result.tree_blobs:
        repo.load_index()  # as stored, not as remembered
    try:
        snapshot, _ = read_back(repo, result.snapshot_id)
    except RepositoryError:
        reject(task.record_id, result.snapshot_id)
        raise
    if snapshot.tree != result.tree:
        raise Damaged("the snapshot read back names another tree than was stored")
    return snapshot


def _log(attempt: Attempt, problem: Problem) -> None:
    attempt.log.add("warning" if problem.loses_data else "info", problem.message, problem.path)


def _log_plan(attempt: Attempt, task: _Task, parent: bytes | None) -> None:
    """Say what is read, and why so much or so little of it."""
    for line in config_source.plan(task.source):
        attempt.log.add("info", line)
    if parent is None:
        attempt.log.add("info", "There is no earlier point to compare with: every file is read.")
    elif task.full_read:
        attempt.log.add("info", "A full read is due: every file is read, changed or not.")
    else:
        attempt.log.add("info", f"Comparing with snapshot {parent.hex()[:8]}: changed files are read.")


def _log_findings(attempt: Attempt, found: Findings) -> None:
    if found.adopted:
        attempt.log.add(
            "info",
            f"Took over {words.count(len(found.adopted), 'point')} that an interrupted job had stored. "
            "Whether that job could read everything is not known.",
        )
    if found.lost:
        attempt.log.add(
            "warning", f"{words.count(len(found.lost), 'point')} were removed by another program."
        )
    if found.damaged:
        attempt.log.add(
            "warning", f"{words.count(len(found.damaged), 'snapshot file')} cannot be read: damaged."
        )


def _outcome(result: BackupResult, source: Source) -> Outcome:
    stored = (
        f"{config_source.read(source, result.files_total)} ({words.size(result.bytes_processed)}), "
        f"adding {words.size(result.bytes_added_packed)} to the storage"
    )
    counts = {each.name: getattr(result, each.name) for each in fields(Tally)}
    counts["duration_ms"] = round(result.duration_s * 1000)
    problems = result.problems_lost + result.problems_changed
    if result.problems_lost:
        missing = words.count(result.problems_lost, "thing")
        return Outcome(
            "warning",
            f"Stored {stored}; {missing} could not be read or stored whole.",
            "The new point holds everything except what the log lists.",
            "Look at the list: give Holdfast the right to read these, or exclude them.",
            counts=counts,
            problems=problems,
        )
    changed = f"; {config_source.changed(source, problems)}" if problems else ""
    meaning = "Everything asked for is in the new point; a sample of it was read back from the storage."
    return Outcome("completed", f"Stored {stored}{changed}.", meaning, counts=counts, problems=problems)
