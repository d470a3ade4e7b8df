"""The command `backup`."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from typing import Any

from repository.backup import BackupOptions, BackupResult, backup
from repository.cli_output import size_text
from repository.cli_session import Session, UsageError
from repository.entries import Problem, Source
from repository.locks import Lock, lock_repository
from repository.repository import Repository
from repository.spare_workers import SpareWorkers
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from repository.worker import affordable
from sources.local import LocalSource
from sources.rules import Rules, parse_size
from sources.stream import StreamSource

_PARTIAL = 3
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def backup_command(session: Session, args: argparse.Namespace) -> int:
    """Make a snapshot; 3 if some files could not be read."""
    rules = _rules(session, args)
    if args.stdin:
        source: Source = _stream(args)
    else:
        source = LocalSource(args.paths, rules=rules, hostname=args.host)
    time_ns = parse_moment(args.time, session) if args.time else None
    with (
        _cache(session, source) as cache,
        SpareWorkers(affordable() if cache.meets_new_source else 0) as spares,
        lock_repository(repo := session.open()) as lock,
    ):
        options = BackupOptions(
            tags=split_tags(args.tag),
            parent=repo.find_snapshot(args.parent)[0] if args.parent else None,
            force=args.force,
            excludes=[_text(pattern) for pattern in rules.exclude + rules.iexclude],
            time_ns=time_ns,
            zone=session.zone,
            self_check=not args.no_self_check,
            refuse_empty=not args.allow_empty,
        )
        result = _run(session, repo, source, options, lock, cache, spares)
    _tell(session, result)
    return _PARTIAL if result.problems_lost else 0


def _stream(args: argparse.Namespace) -> StreamSource:
    return StreamSource(
        open(sys.stdin.fileno(), "rb", closefd=False),
        args.stdin_filename,
        time.time_ns(),
        hostname=args.host,
        allow_empty=args.allow_empty,
    )


def _cache(session: Session, source: Source) -> TreeCache:
    return session.tree_cache(source) if isinstance(source, LocalSource) else NO_TREE_CACHE


def _run(
    session: Session,
    repo: Repository,
    source: Source,
    options: BackupOptions,
    lock: Lock,
    cache: TreeCache,
    spares: SpareWorkers,
) -> BackupResult:
    out = session.output

    def report(problem: Problem) -> None:
        out.problem("archival", problem)

    return backup(repo, source, options, lock, out.progress, report, cache, spares)


def _rules(session: Session, args: argparse.Namespace) -> Rules:
    try:
        limit = parse_size(args.exclude_larger_than) if args.exclude_larger_than else None
        rules = Rules(
            exclude=tuple(args.exclude),
            iexclude=tuple(args.iexclude),
            exclude_caches=args.exclude_caches,
            exclude_if_present=tuple(args.exclude_if_present),
            exclude_larger_than=limit,
            one_file_system=args.one_file_system,
        )
        return rules.with_files(args.exclude_file, args.iexclude_file, environ=session.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error


def split_tags(given: list[str]) -> list[str]:
    """Return the tags in `--tag a,b --tag c`."""
    return [tag for each in given for tag in each.split(",") if tag]


def parse_moment(text: str, session: Session) -> int:
    """Return a time given on the command line, in the local zone, as ns since the epoch."""
    if text == "now":
        return time.time_ns()
    for pattern in _TIME_FORMATS:
        try:
            moment = datetime.strptime(text, pattern).replace(tzinfo=session.zone)
        except ValueError:
            continue
        return int(moment.timestamp()) * 1_000_000_000
    raise UsageError(f"{text!r} is no time; write it as 2026-01-31 14:00:00")


def _tell(session: Session, result: BackupResult) -> None:
    out = session.output
    parent = result.parent.hex()[:8] if result.parent else "none"
    out.text(f"parent snapshot: {parent}")
    out.text(
        f"Files: {result.files_new} new, {result.files_changed} changed, {result.files_unmodified} unmodified"
    )
    out.text(
        f"Dirs:  {result.dirs_new} new, {result.dirs_changed} changed, {result.dirs_unmodified} unmodified"
    )
    out.text(f"Added: {size_text(result.bytes_added)} ({size_text(result.bytes_added_packed)} stored)")
    size = size_text(result.bytes_processed)
    out.text(f"processed {result.files_total} files, {size} in {result.duration_s:.1f} s")
    out.text(f"snapshot {result.snapshot_hex[:8]} saved")
    if result.problems_lost:
        out.text(f"Warning: {result.problems_lost} files or folders could not be read, or not to their end")
    out.data(_summary(result))


def _summary(result: BackupResult) -> dict[str, Any]:
    summary = result.summary("", "")
    del summary["backup_start"], summary["backup_end"]
    return {
        "message_type": "summary",
        **summary,
        "files_failed": result.files_failed,
        "problems_lost": result.problems_lost,
        "problems_changed": result.problems_changed,
        "total_duration": round(result.duration_s, 3),
        "snapshot_id": result.snapshot_hex,
    }


def _text(pattern: str | bytes) -> str:
    return pattern if isinstance(pattern, str) else pattern.decode("utf-8", "surrogateescape")
