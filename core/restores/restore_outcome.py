"""What a restore was asked for, what came of it, and how that is told: never better than it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core import words
from core.jobs.outcomes import Outcome
from core.restores.restore_source import RestoreSource
from core.restores.restores import Conflict
from repository.entries import Problem
from repository.restore import RestoreResult

# How a target begins what it says: a Problem tells no more of whether the backup or the place is to blame.
_BY_THE_TARGET = (
    "cannot restore ", "it cannot be seen what stands on ", "the server cannot make hard links",
)  # fmt: skip
_NOT_IN_IT = ("the snapshot does not hold it", "it is outside of ")


@dataclass(slots=True)
class Missing:
    """How many problems mean missing content, by what is to blame (unlike an owner that was not set)."""

    damaged: int = 0
    refused: int = 0  # by the target: something in the way, no right to write
    absent: int = 0  # asked for, and not in the snapshot: no other copy of it has that
    damaged_paths: list[bytes] = field(default_factory=list)

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
            self.damaged_paths.append(problem.path)
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
class Task:
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
    gated: bool = False  # by a key of the host that makes new folders, and does nothing else
    put_back: bool = False  # to where it was, after a safety backup


@dataclass(slots=True)
class Done:
    """What came of reading from one copy, or from several: `healed`, things that the first could not give."""

    source: RestoreSource
    result: RestoreResult
    missing: Missing
    healed: int = 0

    def mended(self, again: Done) -> Done:
        """Return what it is with what came of restoring the damaged things alone once more."""
        first, second = self.result, again.result
        result = replace(
            first,
            files=first.files + second.files,
            others=first.others + second.others,
            bytes=first.bytes + second.bytes,
            kept=first.kept + second.kept,
            failed=max(0, first.failed - self.missing.damaged) + second.failed,
            problems=first.problems - self.missing.damaged + second.problems,
        )
        missing = replace(
            again.missing,
            refused=self.missing.refused + again.missing.refused,
            absent=self.missing.absent + again.missing.absent,
        )
        return Done(again.source, result, missing)


def outcome_of(done: Done, task: Task, told: str) -> Outcome:
    """Return how the job ends; `told`: which copies were read."""
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


def _judge(result: RestoreResult, missing: Missing, task: Task) -> Outcome:
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


def _meaning(result: RestoreResult, task: Task) -> str:
    if not result.kept:
        if task.host_id is not None:
            return (
                "Every file was sent as the backup holds it, and the host has them all, each with its size."
            )
        return "Every file was written and checked against the backup."
    written = "missing or older" if task.conflict == "replace-if-older" else "missing"
    return f"What was {written} was written and checked. What was kept was not looked into."


def _kept(result: RestoreResult, task: Task) -> str:
    """Say what was left alone, and by which rule."""
    is_, was = ("is", "was") if result.kept == 1 else ("are", "were")
    why = f" and {is_} not older" if task.conflict == "replace-if-older" else ""
    return f"{words.count(result.kept, 'file')} that stood there already{why} {was} kept"


def _done(result: RestoreResult, task: Task) -> str:
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
