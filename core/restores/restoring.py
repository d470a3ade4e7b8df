"""Do a restore, and say "completed" only if everything asked for was written and checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from core import words
from core.access import restore_rights
from core.db import db, write
from core.hosts import host_limits, host_restoring, host_trouble
from core.jobs import attempts
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Job, Restore
from core.points.tokens import path_from_token
from core.restores import config_restores, put_back, restores
from core.restores.database_restoring import perform_database_restore
from core.restores.restore_outcome import Done, Missing, Task, outcome_of
from core.restores.restore_source import UNREADABLE, RestoreSource, Sources, sources
from core.restores.restore_targets import refuse_target
from repository.entries import Problem, Target
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from repository.restore_plan import Selection
from sources.local_target import LocalTarget


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
        _require_not_ours(row, task)
        done = _restore_from(attempt, task, found)
    outcome = outcome_of(done, task, found.told(done.source))
    attempts.finish(attempt, outcome, lambda session: _write_counts(session, task, done))
    return outcome


def _restore_from(attempt: Attempt, task: Task, found: Sources) -> Done:
    """Restore from the best copy; go on with the next where that one breaks off, or is damaged."""
    run = _Run(attempt, task, found, begun=_may_have_begun(attempt, task))
    done = run.read()
    while done.missing.damaged and found.left and not task.gated:
        number = words.count(done.missing.damaged, "thing")
        attempt.log.add(
            "warning", f"{number} could not be read on {done.source.name}; trying another storage."
        )
        found.failed.append(done.source.name)
        try:
            again = run.mend(done) if task.whole else run.read()
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
    task: Task
    found: Sources
    written: int = 0
    begun: bool = False

    def read(self) -> Done:
        """Restore what is not there yet from the next copy that can be read to its end."""
        source, (result, missing) = self.found.read(self._use)
        return Done(source, replace(result, bytes=result.bytes + self.written), missing)

    def mend(self, done: Done) -> Done:
        """Restore what was damaged, alone, to the host where all else is in its place by now."""
        # The host has what was restored: a cancel or a kill removes nothing any more.
        _note(self.attempt, in_place_already=True, used=True)
        damaged = set(done.missing.damaged_paths)
        task = replace(self.task, used=True, totals=None)

        def use(source: RestoreSource, repo: Repository) -> tuple[RestoreResult, Missing]:
            return _restore(self.attempt, task, repo, source, resumed=True, only=damaged)

        source, (result, missing) = self.found.read(use)
        return done.mended(Done(source, result, missing))

    def _use(self, source: RestoreSource, repo: Repository) -> tuple[RestoreResult, Missing]:
        if self.task.whole:  # what an earlier one gave was removed there
            return _restore(self.attempt, self.task, repo, source, resumed=False)
        if self.begun and self.attempt.progress is not None:
            self.written += self.attempt.progress.bytes_done
        resumed, self.begun = self.begun, True
        return _restore(self.attempt, self.task, repo, source, resumed=resumed)


def _may_have_begun(attempt: Attempt, task: Task) -> bool:
    """Tell whether an earlier attempt may have written a part, and waited for a lock or been killed then.

    One that only waited for a safety backup has not: what stands there is not of this restore.
    """
    if task.put_back:
        return bool(attempts.current(attempt).parameters.get("begun"))
    return attempt.number > 1


def _task(attempt: Attempt, row: Restore) -> Task:
    include = tuple(path_from_token(token) for token in row.include.get("paths", []))
    is_put_back = _is_put_back(row)
    return Task(
        row.id,
        _target(attempt, row, include),
        config_restores.place_of(include) if _is_in_place(attempt) else row.target,
        row.host_id,
        bool(row.job.parameters.get("used")),
        row.host_id is not None and not restores.is_by_parts(row),
        os.fsencode(row.target_path) if is_put_back and row.host_id is not None else b"/",
        include,
        row.conflict,  # type: ignore[arg-type]  # checked by RestoreInput
        _is_limited(attempt),
        None if include else (row.point.files, row.point.bytes),
        _is_gated(attempt),
        is_put_back,
    )


def _target(attempt: Attempt, row: Restore, include: Sequence[bytes]) -> str:
    """Return the folder to write below; looked at again: a storage may have been set up there meanwhile."""
    if _is_in_place(attempt):
        config_restores.require_safety(attempt, row.point, include)
        return "/"
    if _is_put_back(row):
        put_back.require_safety(attempt, row, include)
        if row.host_id is None:
            return "/"  # from there on no link is followed, and folders that are missing come as they were
    # The real path: what is looked at here is what is opened, in each thread and helper process.
    path = os.path.realpath(row.target_path) if row.host_id is None else row.target_path
    if row.host_id is None:
        refuse_target(path, list(row.point.paths.get("paths", [])))
    if _is_limited(attempt):  # also again: a link may lead elsewhere by now, or the folder be allowed no more
        path = restore_rights.check(path, row.host_id)
        if row.host_id is not None:
            restore_rights.require_ordinary(host_restoring.look(row.host_id, path, [], limited=True))
    return path


def _require_not_ours(row: Restore, task: Task) -> None:
    """Look again whether a host is this machine, and Holdfast's own data would be written over."""
    if task.host_id is not None:
        below = restores.tree_paths(row.point, task.target_path, task.include, put_back=task.put_back)
        host_restoring.require_not_ours(task.host_id, task.target_path, below)


def _note(attempt: Attempt, **facts: bool) -> None:
    """Remember how far it came, for an attempt after this one and for who is told how it ended."""
    with write() as session:
        job = session.get_one(Job, attempt.job_id)
        job.parameters = {**job.parameters, **facts}


def _is_put_back(row: Restore) -> bool:
    return bool(row.job.parameters.get("put_back"))


def _is_limited(attempt: Attempt) -> bool:
    return bool(attempts.current(attempt).parameters.get("limited"))


def _is_gated(attempt: Attempt) -> bool:
    """Tell whether the gate of a key makes a new folder: what is in it then cannot be changed any more."""
    return bool(attempts.current(attempt).parameters.get("gated"))


def _is_in_place(attempt: Attempt) -> bool:
    return bool(attempts.current(attempt).parameters.get("in_place"))


def _restore(
    attempt: Attempt,
    task: Task,
    repo: Repository,
    source: RestoreSource,
    *,
    resumed: bool,
    only: Collection[bytes] | None = None,
) -> tuple[RestoreResult, Missing]:
    """Return what was done, and what is missing.

    `resumed`: a part is written, from another copy. `only`: these tree paths, each with all below it.
    """
    db.session.rollback()
    attempt.report(Progress("opening"))
    snapshot = source.load_snapshot(repo)
    repo.load_index()
    if task.put_back:
        _note(attempt, begun=True)
    missing = Missing()

    def note(problem: Problem) -> None:
        content = missing.note(problem)
        attempt.log.add("error" if content else "warning", problem.message, problem.path)

    include = task.include or None if only is None else _selected(only)
    options = RestoreOptions(include=include, conflict=task.conflict, resumed=resumed, strip=task.strip)
    with _opened(task) as target:
        return restore(repo, snapshot, target, options, _with_totals(attempt, task), note), missing


def _selected(only: Collection[bytes]) -> Selection:
    """Return what takes these and all below them; there may be very many."""
    leading = {above for path in only for above in _lead(path)}
    wanted = set(only)

    def takes(path: bytes, is_dir: bool) -> bool:
        return path in wanted or not wanted.isdisjoint(_lead(path))

    return Selection(takes, lambda path: path in leading or takes(path, True))


def _lead(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path."""
    while path != b"/":
        path = path.rpartition(b"/")[0] or b"/"
        yield path


def _opened(task: Task) -> AbstractContextManager[Target]:
    if task.host_id is None:
        rights, in_place = not task.limited, task.target_path == "/"
        return closing(
            LocalTarget(
                task.target_path, owner=rights, setuid=rights, devices=rights, pinned=True,
                rule=task.conflict, unlock=not in_place,
            )
        )  # fmt: skip
    return host_restoring.opened(
        task.host_id,
        task.target_path,
        used=task.used,
        rule=task.conflict,
        plain=task.limited,
        gated=task.gated,
    )


def _with_totals(attempt: Attempt, task: Task) -> Callable[[Progress], None]:
    if task.totals is None:
        return attempt.report
    files, size = task.totals
    return lambda progress: attempt.report(replace(progress, files_total=files, bytes_total=size))


def _write_counts(session: Session, task: Task, done: Done) -> None:
    row, result = session.get_one(Restore, task.restore_id), done.result
    row.copy_id = done.source.copy_id
    row.files, row.bytes, row.kept, row.renamed = result.files, result.bytes, result.kept, result.renamed
