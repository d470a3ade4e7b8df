"""The command `restore`."""

from __future__ import annotations

import argparse
import os
from contextlib import closing

from repository.cli_commands import find_snapshot
from repository.cli_output import printable, size_text
from repository.cli_session import Session, UsageError
from repository.entries import Problem
from repository.gotext import lossy_text
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, clean_path, restore
from repository.restore_compare import Step, preview, verify
from repository.restore_plan import Conflict, Selection
from repository.snapshot import Snapshot
from sources.local_target import LocalTarget
from sources.patterns import PatternError, PatternList

# as restic calls them from 0.17 on; it has no word for what is kept
_ACTIONS = {
    "make": "restored",
    "write": "restored",
    "replace": "updated",
    "unchanged": "unchanged",
    "keep": "skipped",
}
_CONFLICTS: dict[str, Conflict] = {"always": "replace", "if-newer": "replace-if-older", "never": "keep"}


def restore_command(session: Session, args: argparse.Namespace) -> int:
    """Restore; 1 if something could not be restored, or does not compare."""
    if args.verify and args.overwrite != "always":
        raise UsageError("--verify compares everything, so it cannot be with --overwrite, which leaves files")
    if args.verify and args.dry_run:
        raise UsageError(
            "--dry-run writes nothing, so --verify has nothing to compare; leave one of them out"
        )
    wanted, _, folder = args.snapshot.partition(":")
    options = RestoreOptions(
        include=selection(args.include, args.exclude),
        conflict=_CONFLICTS[args.overwrite],
        strip=clean_path(os.fsencode(folder)),
    )
    out = session.output
    repo = session.open()
    with session.locked(repo):
        _, snapshot = find_snapshot(repo, wanted, args)
        repo.load_index()
        with closing(LocalTarget(args.target, sparse=args.sparse, rule=options.conflict)) as target:
            if args.dry_run:
                return _tell_steps(session, repo, snapshot, target, options)
            result = restore(
                repo, snapshot, target, options, out.progress, lambda problem: out.problem("restore", problem)
            )
            differing = 0
            if args.verify:
                differing = verify(
                    repo, snapshot, target, options, lambda problem: out.problem("verify", problem)
                )
    _tell(session, result, differing if args.verify else None)
    return 1 if result.problems or differing else 0


def _tell_steps(
    session: Session, repo: Repository, snapshot: Snapshot, target: LocalTarget, options: RestoreOptions
) -> int:
    """Say what a restore would do; 1 if something could not be restored."""
    out = session.output
    problems: list[Problem] = []
    counts = dict.fromkeys(_ACTIONS, 0)
    size = 0
    for step in preview(repo, snapshot, target, options, problems.append):
        counts[step.verb] += 1
        if step.entry is not None and step.verb in ("write", "replace"):
            size += step.entry.size
        _tell_step(session, step)
    for problem in problems:
        out.problem("restore", problem)
    said = ", ".join(f"{count} to {verb}" for verb, count in counts.items() if count)
    out.text(f"{said or 'nothing to do'}; {size_text(size)} would be written (dry run: nothing was)")
    out.data({"message_type": "summary", "dry_run": True, "bytes_to_write": size, **counts})
    return 1 if problems else 0


def _tell_step(session: Session, step: Step) -> None:
    path = lossy_text(step.path)
    if not session.output.json:
        session.output.result(f"{step.verb:9} {printable(path)}")
        return
    size = step.entry.size if step.entry is not None else 0
    session.output.data(
        {"message_type": "verbose_status", "action": _ACTIONS[step.verb], "item": path, "size": size}
    )


def selection(include: list[str], exclude: list[str]) -> Selection | None:
    """Return what restic's --include and --exclude mean: patterns on the paths in the snapshot."""
    if not include and not exclude:
        return None
    try:
        includes, excludes = PatternList(include), PatternList(exclude)
    except PatternError as error:
        raise UsageError(str(error)) from error

    def takes(path: bytes, is_dir: bool) -> bool:
        if excludes and excludes.match(path) is not None:
            return False
        return not includes or includes.select(path)[0]

    def enters(path: bytes) -> bool:
        if excludes and excludes.match(path) is not None:
            return False
        return not includes or any(includes.select(path))

    return Selection(takes, enters)


def _tell(session: Session, result: RestoreResult, differing: int | None) -> None:
    out = session.output
    out.text(
        f"restored {result.files} files, {result.dirs} folders, {result.others} others, "
        f"{size_text(result.bytes)} in {out.seconds():.1f} s"
    )
    if result.unchanged:
        out.text(f"{result.unchanged} files had their content already")
    if result.kept:
        out.text(f"left {result.kept} that were there already")
    if result.problems:
        out.text(f"Warning: {result.problems} problems, {result.failed} files not restored")
    if differing is not None:
        out.text(f"verified: {differing} files differ")
    out.data(
        {
            "message_type": "summary",
            "seconds_elapsed": int(out.seconds()),
            "files_restored": result.files,
            "dirs_restored": result.dirs,
            "others_restored": result.others,
            "bytes_restored": result.bytes,
            "files_skipped": result.kept,
            "files_unchanged": result.unchanged,
            "files_failed": result.failed,
            "problems": result.problems,
        }
    )
