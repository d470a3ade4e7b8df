"""Do a restore, and say "completed" only if everything asked for was written and checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from core import words
from core.access import restore_rights
from core.db import db
from core.hosts import host_limits, host_put_back, host_restoring, host_trouble
from core.jobs import attempts
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Restore
from core.points.tokens import path_from_token
from core.restores import config_restores, restores
from core.restores.database_restoring import perform_database_restore
from core.restores.restore_source import UNREADABLE, RestoreSource, Sources, sources
from core.restores.restore_targets import refuse_target
from core.restores.restores import Conflict
from repository.entries import Problem, Target
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from sources.local_target import LocalTarget

# How a target begins what it says: a Problem tells no more of whether the backup or the place is to blame.
_BY_THE_TARGET = "cannot restore "
_NOT_IN_IT = ("the snapshot does not hold it", "it is outside of ")


@dataclass(slots=True)
class _Missing:
    """How many problems mean missing content, by what is to blame (unlike an owner that was not set)."""

    damaged: int = 0
    refused: int = 0  # by the target: something in the way, no right to write
    absent: int = 0  # asked for, and not in the snapshot: no other copy of it has that

    def note(self, problem: Problem) -> bool:
        """Count a problem; tell whether it means missing content."""
        if not problem.loses_data or problem.kind == "incomplete":
            return False
        if problem.message.startswith(_BY_THE_TARGET):
            self.refused += 1
        elif problem.message.startswith(_NOT_IN_IT):
            self.absent += 1
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
        if self.absent:
            parts.append("Look into the point to see what it holds.")
        if self.damaged or not (self.refused or self.absent):
            parts.append("Damaged data may still be whole in another point or on another storage.")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class _Task:
    restore_id: int
    target_path: str
    place: str  # the same in words
    host_id: str | None
    used: bool  # the folder on the host
    whole: bool  # nothing shows on the host before all has arrived
    strip: bytes  # the folder of the tree whose content goes to the target
    include: tuple[bytes, ...]
    conflict: Conflict
    limited: bool  # by somebody who is no admin
    totals: tuple[int, int] | None  # files and bytes, where everything is restored


@dataclass(slots=True)
class _Done:
    """What came of reading from one copy, or from several: `healed`, things that the first could not give."""

    source: RestoreSource
    result: RestoreResult
    missing: _Missing
    healed: int = 0


def perform_restore(attempt: Attempt) -> Outcome:
    """Do the restore that `attempt` claimed, end the job, and return how. Raises what the engine raises."""
    row = restores.of_job(attempt.job_id)
    if row.database:
        return perform_database_restore(attempt)
    task = _task(attempt, row)
    if task.host_id is not None:
        host_limits.take_place(attempt, task.host_id)
    found = sources(attempt, row.point, attempts.current(attempt).parameters.get("copy_id"))
    with host_trouble.told(task.host_id) if task.host_id is not None else nullcontext():
        done = _restore_from(attempt, task, found)
    outcome = _outcome(done, task, found.told(done.source))
    attempts.finish(attempt, outcome, lambda session: _write_counts(session, task, done))
    return outcome


def _restore_from(attempt: Attempt, task: _Task, found: Sources) -> _Done:
    """Restore from the best copy; go on with the next where that one breaks off, or is damaged.

    What a host got whole is in its place then, and is not added to.
    """
    # An earlier attempt may have written a part, and waited for a lock or been killed then.
    run = _Run(attempt, task, found, begun=attempt.number > 1)
    done = run.read()
    while done.missing.damaged and found.left and not task.whole:
        number = words.count(done.missing.damaged, "thing")
        attempt.log.add(
            "warning", f"{number} could not be read on {done.source.name}; trying another storage."
        )
        found.failed.append(done.source.name)
        try:
            again = run.read()
        except UNREADABLE as error:
            attempt.log.add("warning", f"That cannot be read either: {error}")
            found.failed.pop()
            break
        again.healed = done.healed + max(0, done.missing.damaged - again.missing.damaged)
        done = again
    return done


@dataclass(slots=True)
class _Run:
    """Reads from one copy after the other into the same target. `written`: bytes that earlier ones gave."""

    attempt: Attempt
    task: _Task
    found: Sources
    written: int = 0
    begun: bool = False

    def read(self) -> _Done:
        """Restore what is not there yet from the next copy that can be read to its end."""
        source, (result, missing) = self.found.read(self._use)
        return _Done(source, replace(result, bytes=result.bytes + self.written), missing)

    def _use(self, source: RestoreSource, repo: Repository) -> tuple[RestoreResult, _Missing]:
        if self.task.whole:  # what an earlier one gave was removed there
            return _restore(self.attempt, self.task, repo, source.snapshot_id, resumed=False)
        if self.begun and self.attempt.progress is not None:
            self.written += self.attempt.progress.bytes_done
        resumed, self.begun = self.begun, True
        return _restore(self.attempt, self.task, repo, source.snapshot_id, resumed=resumed)


def _task(attempt: Attempt, row: Restore) -> _Task:
    include = tuple(path_from_token(token) for token in row.include.get("paths", []))
    return _Task(
        row.id,
        _target(attempt, row, include),
        config_restores.place_of(include) if _is_in_place(attempt) else row.target,
        row.host_id,
        bool(row.job.parameters.get("used")),
        row.host_id is not None and not row.job.parameters.get("by_parts"),
        os.fsencode(row.target_path) if row.job.parameters.get("put_back") else b"/",
        include,
        row.conflict,  # type: ignore[arg-type]  # checked by RestoreInput
        _is_limited(attempt),
        None if include else (row.point.files, row.point.bytes),
    )


def _target(attempt: Attempt, row: Restore, include: Sequence[bytes]) -> str:
    """Return the folder to write below; looked at again: a storage may have been set up there meanwhile."""
    if _is_in_place(attempt):
        config_restores.require_safety(attempt, include)
        return "/"
    if row.job.parameters.get("put_back"):
        host_put_back.require_safety(attempt, row, include)
    # The real path: what is looked at here is what is opened, in each thread and helper process.
    path = os.path.realpath(row.target_path) if row.host_id is None else row.target_path
    if row.host_id is None:
        refuse_target(path, list(row.point.paths.get("paths", [])))
    if _is_limited(attempt):  # also again: a link may lead elsewhere by now, or the folder be allowed no more
        restore_rights.check(path, row.host_id)
    return path


def _is_limited(attempt: Attempt) -> bool:
    return bool(attempts.current(attempt).parameters.get("limited"))


def _is_in_place(attempt: Attempt) -> bool:
    return bool(attempts.current(attempt).parameters.get("in_place"))


def _restore(
    attempt: Attempt, task: _Task, repo: Repository, snapshot_id: bytes, *, resumed: bool
) -> tuple[RestoreResult, _Missing]:
    """Return what was done, and what is missing. `resumed`: a part is written, from another copy."""
    db.session.rollback()
    attempt.report(Progress("opening"))
    snapshot = repo.load_snapshot(snapshot_id)
    repo.load_index()
    missing = _Missing()

    def note(problem: Problem) -> None:
        content = missing.note(problem)
        attempt.log.add("error" if content else "warning", problem.message, problem.path)

    options = RestoreOptions(
        include=task.include or None, conflict=task.conflict, resumed=resumed, strip=task.strip
    )
    with _opened(task) as target:
        return restore(repo, snapshot, target, options, _with_totals(attempt, task), note), missing


def _opened(task: _Task) -> AbstractContextManager[Target]:
    if task.host_id is None:
        rights = not task.limited
        return closing(
            LocalTarget(task.target_path, owner=rights, setuid=rights, devices=rights, pinned=True)
        )
    return host_restoring.opened(task.host_id, task.target_path, used=task.used)


def _with_totals(attempt: Attempt, task: _Task) -> Callable[[Progress], None]:
    if task.totals is None:
        return attempt.report
    files, size = task.totals
    return lambda progress: attempt.report(replace(progress, files_total=files, bytes_total=size))


def _write_counts(session: Session, task: _Task, done: _Done) -> None:
    row, result = session.get_one(Restore, task.restore_id), done.result
    row.copy_id = done.source.copy_id
    row.files, row.bytes, row.kept, row.renamed = result.files, result.bytes, result.kept, result.renamed


def _outcome(done: _Done, task: _Task, told: str) -> Outcome:
    result = done.result
    outcome = _judge(result, done.missing, task)
    outcome.summary += told
    if done.healed and outcome.status in ("completed", "warning"):
        outcome.status = "warning"
        outcome.advice = (
            "The restore is whole. What one storage could not give came from another: look at that "
            "storage, and run `restic check --read-data` on its repository."
        )
    outcome.counts = {
        "files": result.files, "dirs": result.dirs, "others": result.others, "bytes": result.bytes,
        "kept": result.kept, "renamed": result.renamed, "failed": result.failed,
    }  # fmt: skip
    outcome.problems = result.problems
    return outcome


def _judge(result: RestoreResult, missing: _Missing, task: _Task) -> Outcome:
    done = _done(result, task)
    failed = max(missing.damaged + missing.refused + missing.absent, result.failed)
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
            "Restore as root if owners and attributes matter."
            if task.host_id is None
            else "Switch sudo on for the host if owners and attributes matter, and restore again.",
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
        if task.host_id is not None:
            return (
                "Every file was sent as the backup holds it, and the host has them all, each with its size."
            )
        return "Every file was written and checked against the backup."
    written = "missing or older" if task.conflict == "replace-if-older" else "missing"
    return f"What was {written} was written and checked. What was kept was not looked into."


def _kept(result: RestoreResult, task: _Task) -> str:
    """Say what was left alone, and by which rule."""
    is_, was = ("is", "was") if result.kept == 1 else ("are", "were")
    why = f" and {is_} not older" if task.conflict == "replace-if-older" else ""
    return f"{words.count(result.kept, 'file')} that stood there already{why} {was} kept"


def _done(result: RestoreResult, task: _Task) -> str:
    what = f"{words.count(result.files, 'file')} ({words.size(result.bytes)})"
    if result.others and not result.files:
        what = words.count(result.others, "link or special file")
    text = f"Restored {what} to {task.place}"
    if result.kept:
        text += f"; {_kept(result, task)}"
    if result.renamed:
        stand = "stands" if result.renamed == 1 else "stand"
        text += f"; {words.count(result.renamed, 'file')} {stand} beside those already there"
    return text + "."
