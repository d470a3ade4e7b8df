"""Do a restore, and say "completed" only if everything asked for was written and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from core import attempts, config_restores, restores, words
from core.attempts import Attempt
from core.database_restoring import perform_database_restore
from core.db import db
from core.dead_locks import remove_dead_locks
from core.models import Restore
from core.outcomes import Outcome
from core.restore_source import RestoreSource, copies_to_try, open_copy
from core.restore_targets import refuse_target
from core.restores import Conflict
from core.tokens import path_from_token
from repository.entries import Problem
from repository.locks import lock_repository
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from sources.local_target import LocalTarget

# How a target begins what it says: a Problem tells no more of whether the backup or the place is to blame.
_BY_THE_TARGET = "cannot restore "


@dataclass(slots=True)
class _Missing:
    """How many problems mean missing content, by what is to blame (unlike an owner that was not set)."""

    damaged: int = 0
    refused: int = 0  # by the target: something in the way, no right to write

    def note(self, problem: Problem) -> bool:
        """Count a problem; tell whether it means missing content."""
        if not problem.loses_data or problem.kind == "incomplete":
            return False
        if problem.message.startswith(_BY_THE_TARGET):
            self.refused += 1
        else:
            self.damaged += 1
        return True

    def advice(self) -> str:
        """Say what to do about them."""
        parts = ["Look at the list."]
        if self.refused:
            parts.append(
                "Move away what is in the way, let Holdfast write there, or choose an empty folder; "
                "then restore again."
            )
        if self.damaged or not self.refused:
            parts.append("Damaged data may still be whole in another point or on another storage.")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class _Task:
    restore_id: int
    copy_ids: tuple[int, ...]  # to be tried in this order
    target_path: str
    place: str  # the same in words
    include: tuple[bytes, ...]
    conflict: Conflict
    totals: tuple[int, int] | None  # files and bytes, where everything is restored


def perform_restore(attempt: Attempt) -> Outcome:
    """Do the restore that `attempt` claimed, end the job, and return how. Raises what the engine raises."""
    if restores.of_job(attempt.job_id).database:
        return perform_database_restore(attempt)
    task = _task(attempt)
    source, repo = open_copy(attempt, task.copy_ids)
    try:
        remove_dead_locks(repo)
        with lock_repository(repo, on_lock_id=attempt.hold_lock):
            result, missing = _restore(attempt, task, repo, source.snapshot_id)
    finally:
        repo.close()
    outcome = _outcome(result, missing, task, source)
    attempts.finish(attempt, outcome, lambda session: _write_counts(session, task, source, result))
    return outcome


def _task(attempt: Attempt) -> _Task:
    row = restores.of_job(attempt.job_id)
    chosen = attempts.current(attempt).parameters.get("copy_id")
    include = tuple(path_from_token(token) for token in row.include.get("paths", []))
    return _Task(
        row.id,
        copies_to_try(row.point, chosen),
        _target(attempt, row, include),
        config_restores.place_of(include) if _is_in_place(attempt) else row.target_path,
        include,
        row.conflict,  # type: ignore[arg-type]  # checked by RestoreInput
        None if include else (row.point.files, row.point.bytes),
    )


def _target(attempt: Attempt, row: Restore, include: Sequence[bytes]) -> str:
    """Return the folder to write below; looked at again: a storage may have been set up there meanwhile."""
    if _is_in_place(attempt):
        config_restores.require_safety(attempt, include)
        return "/"
    return refuse_target(row.target_path, list(row.point.paths.get("paths", [])))


def _is_in_place(attempt: Attempt) -> bool:
    return bool(attempts.current(attempt).parameters.get("in_place"))


def _restore(
    attempt: Attempt, task: _Task, repo: Repository, snapshot_id: bytes
) -> tuple[RestoreResult, _Missing]:
    """Return what was done, and what is missing."""
    db.session.rollback()
    attempt.report(Progress("opening"))
    snapshot = repo.load_snapshot(snapshot_id)
    repo.load_index()
    missing = _Missing()

    def note(problem: Problem) -> None:
        content = missing.note(problem)
        attempt.log.add("error" if content else "warning", problem.message, problem.path)

    target = LocalTarget(task.target_path)
    options = RestoreOptions(include=task.include or None, conflict=task.conflict)
    try:
        return restore(repo, snapshot, target, options, _with_totals(attempt, task), note), missing
    finally:
        target.close()


def _with_totals(attempt: Attempt, task: _Task) -> Callable[[Progress], None]:
    if task.totals is None:
        return attempt.report
    files, size = task.totals
    return lambda progress: attempt.report(replace(progress, files_total=files, bytes_total=size))


def _write_counts(session: Session, task: _Task, source: RestoreSource, result: RestoreResult) -> None:
    row = session.get_one(Restore, task.restore_id)
    row.copy_id = source.copy_id
    row.files, row.bytes, row.kept, row.renamed = result.files, result.bytes, result.kept, result.renamed


def _outcome(result: RestoreResult, missing: _Missing, task: _Task, source: RestoreSource) -> Outcome:
    outcome = _judge(result, missing, task)
    outcome.summary += source.told
    outcome.counts = {
        "files": result.files, "dirs": result.dirs, "others": result.others, "bytes": result.bytes,
        "kept": result.kept, "renamed": result.renamed, "failed": result.failed,
    }  # fmt: skip
    outcome.problems = result.problems
    return outcome


def _judge(result: RestoreResult, missing: _Missing, task: _Task) -> Outcome:
    done = _done(result, task)
    failed = max(missing.damaged + missing.refused, result.failed)
    if result.files + result.others + result.dirs == 0 and result.kept == 0:
        return Outcome(
            "failed", f"Nothing was restored to {task.place}.", "The backup itself was not changed.",
            "Look at the list of problems, mend what it names, and restore again.",
        )  # fmt: skip
    if failed:
        return Outcome(
            "failed",
            f"{words.count(failed, 'thing')} could not be restored. {done}",
            "What the log lists is not at the target, or not whole there. The backup itself was not changed.",
            missing.advice(),
        )
    if result.problems:
        as_before = "it was" if result.problems == 1 else "they were"
        return Outcome(
            "warning",
            f"{done} {words.count(result.problems, 'thing')} could not be set as {as_before}.",
            "The content of all files is whole; the log lists what is not, such as owners or attributes.",
            "Restore as root if owners and attributes matter.",
        )
    if result.files + result.others == 0 and result.kept:
        return Outcome(
            "warning", f"Nothing was written to {task.place}: {_kept(result, task)}.",
            "What was there already was left as it is, unchecked.",
            "Choose another rule or another folder to get the files as they were backed up.",
        )  # fmt: skip
    return Outcome("completed", done, _meaning(result, task))


def _meaning(result: RestoreResult, task: _Task) -> str:
    if not result.kept:
        return "Every file was written and checked against the backup."
    written = "missing or older" if task.conflict == "replace-if-older" else "missing"
    return f"What was {written} was written and checked. What was kept was not looked into."


def _kept(result: RestoreResult, task: _Task) -> str:
    """Say what was left alone, and by which rule."""
    is_, was = ("is", "was") if result.kept == 1 else ("are", "were")
    why = f" and {is_} not older" if task.conflict == "replace-if-older" else ""
    return f"{words.count(result.kept, 'file')} that stood there already{why} {was} kept"


def _done(result: RestoreResult, task: _Task) -> str:
    text = f"Restored {words.count(result.files, 'file')} ({words.size(result.bytes)}) to {task.place}"
    if result.kept:
        text += f"; {_kept(result, task)}"
    if result.renamed:
        stand = "stands" if result.renamed == 1 else "stand"
        text += f"; {words.count(result.renamed, 'file')} {stand} beside those already there"
    return text + "."
