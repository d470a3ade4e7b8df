"""Dump a database into a repository as a job does: `python -m bench.dump_into REPOSITORY URL DATABASE`.

The engine and the source of jobs, rows counted in the dump's own snapshot, without the rows that a job writes
about it into the app's database.
"""

from __future__ import annotations

import os
import sys

from repository.backup import BackupOptions, backup
from repository.entries import Problem
from repository.locks import lock_repository
from repository.repository import Repository
from sources.postgres.server import parse_url
from sources.postgres.source import PostgresSource
from storage_adapters.local import LocalAdapter


def main(repository: str, url: str, database: str) -> None:
    """Make one point. Fails on any problem."""
    problems: list[Problem] = []
    repo = Repository.open(LocalAdapter(repository), os.environ["RESTIC_PASSWORD"], compression="rows")
    source = PostgresSource(parse_url(url), [database])
    with lock_repository(repo) as lock:
        backup(repo, source, BackupOptions(), lock, report=problems.append)
    repo.close()
    lost = [problem for problem in problems if problem.loses_data]
    unknown = [each.name for each in source.manifest.databases if each.rows_unknown]
    if lost or unknown:
        raise SystemExit(f"{lost}; rows unknown: {unknown}")


if __name__ == "__main__":
    main(*sys.argv[1:])
