"""One run of the job that fills a destination: what it is to copy, what came of it, and that in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from core import words
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Point
from repository.progress import Progress


def _opening() -> Progress:
    return Progress("opening")


@dataclass(slots=True)
class CopyRun:
    """What is to be copied and what came of it; point ids throughout."""

    attempt: Attempt
    record_id: str
    destination_id: int
    name: str  # of the destination's storage
    todo: list[int]
    total: int = 0
    done: list[int] = field(default_factory=list)
    taken_out: int = 0  # of the trash there
    bytes_added: int = 0
    source: str = ""  # the name of the storage that is read from now
    sources: list[str] = field(default_factory=list)  # names of storages read from
    troubles: list[Exception] = field(default_factory=list)
    made: list[bytes] = field(default_factory=list)  # the snapshots there, the last one stored last
    _now: Progress = field(default_factory=_opening)
    _carried: int = 0  # bytes read, and stored, by what the engine did before
    _added: int = 0
    _point: str = ""

    def begin(self, point: Point) -> None:
        """Note which point is copied now."""
        zone = point.config.timezone if point.config is not None else "UTC"
        self._point = f"The point of {words.moment(point.taken_at, zone)}, from {self.source}"

    def begin_from(self, source: str) -> None:
        """Note from which storage the engine copies now; what it did before stays done."""
        self.source = source
        self._carried += self._now.bytes_done
        self._added += self._now.bytes_added
        self._now = _opening()

    def report(self, progress: Progress) -> None:
        """Pass the engine's progress on, counted in points."""
        self._now = progress
        self.attempt.report(self.progress())

    def progress(self, phase: str = "") -> Progress:
        """Return where all of this is. How much there is in all is not known before it was looked at."""
        now = self._now
        scanning = now.phase == "scanning"
        looked = f"{words.count(now.files_done, 'folder')} looked at on {self.source}"
        return Progress(
            phase or ("comparing" if scanning else now.phase),
            len(self.done),
            self.total,
            self._carried + now.bytes_done,
            None if now.bytes_total is None else self._carried + now.bytes_total,
            self._added + now.bytes_added,
            (looked if scanning else self._point).encode(),
        )


def outcome_of(run: CopyRun) -> Outcome:
    """Say how it went. Raises what went wrong, if nothing was copied because of it."""
    copied = f"{words.count(len(run.done), 'point')} from {_and(run.sources)}"
    counts = {"copied": len(run.done), "left": len(run.todo), "bytes_added": run.bytes_added}
    if not run.todo:
        meaning = "Every point that its rule keeps is there now; a sample of each new one was read back."
        summary = f"Copied {copied} to {run.name}, adding {words.size(run.bytes_added)}."
        if run.taken_out and not run.total:
            summary = f"Took {words.count(run.taken_out, 'point')} out of the trash on {run.name}."
        elif not run.total:
            summary = f"Nothing was missing on {run.name}."
        return Outcome("completed", summary, meaning, counts=counts)
    if not run.done and run.troubles:
        raise run.troubles[0]
    left = words.count(len(run.todo), "point")
    return Outcome(
        "warning" if run.done else "failed",
        f"{left} could not be copied to {run.name}{f'; copied {copied}' if run.done else ''}.",
        "What could not be copied has no copy there; where it is, it was not changed.",
        "Look at the log. What is damaged at one place may still be whole at another. It is tried again "
        "in an hour.",
        "\n".join(map(str, run.troubles)),
        counts,
        len(run.todo),
    )


def _and(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return " and ".join(found) or "nowhere"
