"""Build a download: read the copies of a point into one archive in the data folder, and say its hash."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from core import words
from core.db import db
from core.errors import NotFound
from core.jobs import attempts
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import BuiltDownload
from core.points import built_downloads, built_files, built_rules
from core.points.built_files import BuiltFile
from core.points.tokens import path_from_token, printable
from core.restores.restore_source import RestoreSource, sources
from repository import browse as engine
from repository.browse import Extent, Made
from repository.errors import PathNotFound
from repository.progress import Progress
from repository.repository import Repository

_TOLD_EVERY_S = 0.25


def perform_build(attempt: Attempt) -> Outcome:
    """Build the download that `attempt` claimed, end the job, and return how.

    Raises what the engine raises, NotFound, CannotBeBuilt.
    """
    built_downloads.sweep()  # what is too old makes room
    row = built_downloads.of_job(attempt.job_id)
    found = sources(attempt, row.point, attempts.current(attempt).parameters.get("copy_id"))
    most = built_files.require_room(0, built_rules.current().most_bytes)
    with built_files.made(row.id, row.form, most) as file:
        build = _Build(attempt, row, file)
        source, made = found.read(build.read)
        sha256 = file.finish()
        outcome = _outcome(row.name, file.size, made, found.told(source))
        attempts.finish(
            attempt,
            outcome,
            lambda session: built_downloads.note_ready(
                session, build.built_id, file.size, sha256, _left_out(made)
            ),
        )
    return outcome


@dataclass(slots=True)
class _Build:
    """Writes the archive, from one copy after the other until one can be read to its end."""

    attempt: Attempt
    row: BuiltDownload
    file: BuiltFile
    built_id: int = 0
    paths: list[bytes] = field(default_factory=list)
    _told_at: float = 0.0

    def __post_init__(self) -> None:
        self.built_id = self.row.id
        self.paths = [path_from_token(token) for token in self.row.include.get("paths", [])]

    def read(self, source: RestoreSource, repo: Repository) -> Made:
        """Write all of it, from the beginning on; return what was made. Raises NotFound, CannotBeBuilt."""
        form = self.row.form
        db.session.rollback()
        self.attempt.report(Progress("opening"))
        snapshot = source.load_snapshot(repo)
        repo.load_index()
        self.file.begin_anew()
        try:
            extent = engine.measure(repo, snapshot, *self.paths, go_on=self._counted)
            built_files.require_room(extent.archive_bytes, built_rules.current().most_bytes)
            db.session.rollback()
            made = Made()
            stream = engine.stream_tar if form == "tar" else engine.stream_zip
            for piece in stream(repo, snapshot, *self.paths, made=made):
                self.file.write(piece)
                self._tell(made, extent)
        except PathNotFound as error:
            raise NotFound(f"Something of what was chosen is not in the point: {error}.") from error
        return made

    def _counted(self, extent: Extent) -> bool:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            self.attempt.report(Progress("counting", extent.files, None, extent.bytes))
        return True

    def _tell(self, made: Made, extent: Extent) -> None:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            self.attempt.report(
                Progress("building", made.files, extent.files, made.size, extent.bytes, current=made.current)
            )


def _left_out(made: Made) -> dict[str, object]:
    return {"count": made.noted, "paths": [[printable(name), what] for name, what in made.notes[:100]]}


def _outcome(name: str, size: int, made: Made, told: str) -> Outcome:
    noted = f" {words.count(made.noted, 'entry')} left out or renamed." if made.noted else ""
    return Outcome(
        "completed",
        f"{name} is ready: {words.count(made.files, 'file')}, {words.size(size)}.{noted}{told}",
        counts={"files": made.files, "bytes": made.size, "noted": made.noted},
    )
