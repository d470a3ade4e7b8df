"""Write a snapshot, or a part of it, to a target."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext

from repository.entries import EarlyFlushTarget, LateTarget, Problem, Target
from repository.progress import ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.restore_compare import holder
from repository.restore_options import (
    EVERYTHING,
    RestoreOptions,
    clean_path,
    missing_paths,
    plan,
    require_match,
    select,
)
from repository.restore_writer import RestoreResult, RestoreWriter
from repository.snapshot import Snapshot

__all__ = ["RestoreOptions", "RestoreResult", "clean_path", "plan", "restore", "select"]


def restore(
    repo: Repository,
    snapshot: Snapshot,
    target: Target,
    options: RestoreOptions = EVERYTHING,
    progress: ProgressCallback = ignore_progress,
    report: Callable[[Problem], None] = lambda problem: None,
) -> RestoreResult:
    """Restore to `target`; the index must be loaded. Whatever could not be restored whole is reported.

    Raises NothingToRestore if the selection fits nothing; Damaged or BlobNotFound if the snapshot's root
    cannot be read; TargetFull; TargetError if what was written cannot be put on the disk; StorageError;
    Cancelled from `progress`. A damaged file is a problem and the rest goes on; so is a path of `include`
    that the snapshot does not hold.
    """
    result = RestoreResult()

    def count_and_report(problem: Problem) -> None:
        result.problems += 1
        report(problem)

    for problem in missing_paths(repo, snapshot, options):
        result.failed += 1
        count_and_report(problem)
    holds = holder(repo, target) if options.delta else None
    written = holder(repo, target, linked=True) if options.resumed else None
    planner = plan(repo, snapshot, target.existing, options, count_and_report, holds, written=written)
    writer = RestoreWriter(repo, target, options, result, progress, count_and_report)
    try:
        with target.flushing_early() if isinstance(target, EarlyFlushTarget) else nullcontext():
            writer.run(planner.walk())
        target.flush()  # nothing is restored that a power cut can still take away
    finally:
        writer.close()
    result.kept, result.renamed = planner.counts.kept, planner.counts.renamed
    if isinstance(target, LateTarget):
        _take_back(target, writer, result, count_and_report)
    require_match(planner)
    return result


def _take_back(
    target: LateTarget, writer: RestoreWriter, result: RestoreResult, report: Callable[[Problem], None]
) -> None:
    """Count what did not get its place at the end as kept, or report it as failed."""
    for left in target.left_out:
        result.files -= left.files
        result.dirs -= left.dirs
        result.others -= left.others
        result.bytes -= left.bytes
        if left.kept:
            result.kept += 1
            continue
        result.failed += max(1, left.files + left.others)
        text = (
            f"cannot restore {os.fsdecode(left.path)}: something came to stand there while the restore ran, "
            "and was left alone"
        )
        report(Problem(writer.tree_path(left.path), "unreadable", text))
