"""The files of a parallel dump, put into a work folder so that pg_restore can use several processes, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from core import words
from core.configs import config_source, parallel_dumps
from core.configs.source_database import DatabaseSource
from core.errors import Invalid, Refused
from core.jobs.attempts import Attempt
from core.jobs.outcomes import sentence
from core.models import Point
from repository.entries import Problem
from repository.errors import Damaged
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from repository.snapshot import Snapshot
from sources.local_target import LocalTarget
from sources.postgres.errors import NoWorkRoom
from sources.postgres.manifest import Database, Manifest
from sources.postgres.tree import is_folder
from sources.postgres.work_folder import WorkFolder

USUAL_JOBS = 2


def jobs_for(point: Point) -> int:
    """Return how many processes put a dump of a point back: as many as its config dumps with."""
    source = _source(point)
    return source.parallel_jobs if source is not None and source.parallel_jobs > 1 else USUAL_JOBS


def is_needed(manifest: Manifest) -> bool:
    """Tell whether a point holds a dump that was made by several processes."""
    return any(is_folder(record) for record in manifest.databases)


def usual(point: Point) -> str:
    """Return the folder that the config of a point dumps through, "" if it has none."""
    source = _source(point)
    return source.work_folder if source is not None else ""


def choose(point: Point, record: Database, given: str) -> str:
    """Return the folder for a dump's files, "" if it needs none. Raises Invalid (`work_folder`)."""
    if not is_folder(record):
        return ""
    size = words.size(record.dump_bytes)
    folder = given or usual(point)
    if not folder:
        made = f"This dump was made by several processes, as files of {size}."
        raise Invalid({parallel_dumps.FIELD: f"{made} Choose a folder of this machine with room for them."})
    try:
        folder = parallel_dumps.clean(folder, 1)
    except ValueError as error:
        raise Invalid({parallel_dumps.FIELD: str(error)}) from error
    parallel_dumps.check_folder(folder, record.dump_bytes)
    return folder


@contextmanager
def fetched(
    attempt: Attempt, repo: Repository, snapshot: Snapshot, record: Database, parent: str
) -> Iterator[str]:
    """Hold the files of a dump in a folder below `parent`; it is removed at the end.

    Raises Refused if there is no room, Damaged if a file cannot be read whole, and as a restore does.
    """
    try:
        work = WorkFolder(parent)
    except NoWorkRoom as error:
        raise Refused(sentence(str(error)), "Nothing was changed on the server.") from error
    try:
        place = _place(work, record)
        attempt.log.add("info", f"Putting {words.size(record.dump_bytes)} of files into {place}.")
        _fetch(attempt, repo, snapshot, record, place)
        yield place
    finally:
        work.close()


def _place(work: WorkFolder, record: Database) -> str:
    try:
        place = work.new_place(record.dump_bytes)
        os.mkdir(place, 0o700)
    except (NoWorkRoom, OSError) as error:
        raise Refused(sentence(str(error)), "Nothing was changed on the server.") from error
    return place


def _fetch(attempt: Attempt, repo: Repository, snapshot: Snapshot, record: Database, place: str) -> None:
    path = b"/" + os.fsencode(record.file)
    lost: list[Problem] = []

    def note(problem: Problem) -> None:
        if problem.loses_data:
            lost.append(problem)

    options = RestoreOptions(include=(path,), strip=path)
    with closing(LocalTarget(place, owner=False)) as target:
        result = restore(repo, snapshot, target, options, attempt.report, note)
    if lost or result.failed:
        why = lost[0].message if lost else f"{words.count(result.failed, 'file')} could not be written"
        raise Damaged(f"the dump of {record.name!r} cannot be read whole: {why}")
    if result.bytes != record.dump_bytes:
        raise Damaged(
            f"the dump of {record.name!r} has {result.bytes:,} bytes, and had {record.dump_bytes:,} when made"
        )


def _source(point: Point) -> DatabaseSource | None:
    source = config_source.as_stored(point.config) if point.config is not None else None
    return source if isinstance(source, DatabaseSource) else None
