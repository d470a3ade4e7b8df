"""The command `check`."""

from __future__ import annotations

import argparse
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from repository.check import CheckResult, check
from repository.check_subset import ReadLog, Subset, parse_subset
from repository.cli_output import printable, size_text
from repository.cli_session import Session, UsageError
from repository.errors import Damaged
from repository.gotext import lossy_text

logger = logging.getLogger(__name__)


def check_command(session: Session, args: argparse.Namespace) -> int:
    """Check; 1 if there are errors."""
    subset = _subset(args)
    repo = session.open()
    place = _log_place(session, repo.id) if args.read_data or subset else None
    log = _load_log(place, repo.id)
    with session.locked(repo, exclusive=True):
        result = check(
            repo,
            read_data=args.read_data,
            subset=subset,
            last_read=log.times,
            progress=session.output.progress,
        )
    if place and result.read:
        log.record(result.read, result.present, datetime.now(UTC))
        _save_log(place, log)
    _tell(session, result)
    return 0 if result.ok else 1


def _subset(args: argparse.Namespace) -> Subset | None:
    if args.read_data_subset is None:
        return None
    if args.read_data:
        raise UsageError("--read-data reads everything, so it cannot be with --read-data-subset")
    try:
        return parse_subset(args.read_data_subset)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _log_place(session: Session, repository: str) -> str | None:
    folder = session.cache_folder()
    return os.path.join(folder, "checks", f"{repository}.json") if folder else None


def _load_log(place: str | None, repository: str) -> ReadLog:
    """Return the log kept there, an empty one where there is none: then only the rotation begins anew."""
    if place is not None:
        try:
            with suppress(FileNotFoundError), open(place, "rb") as file:
                return ReadLog.decode(file.read(), repository)
        except (Damaged, OSError) as error:
            logger.warning("%s is not used, so packs may be read again early: %s", place, error)
    return ReadLog(repository)


def _save_log(place: str, log: ReadLog) -> None:
    try:
        os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
        temporary = f"{place}.{os.getpid()}"
        with open(temporary, "wb") as file:
            file.write(log.encode())
        os.replace(temporary, place)
    except OSError as error:
        logger.warning("which packs were read could not be kept in %s: %s", place, error.strerror)


def _tell(session: Session, result: CheckResult) -> None:
    out = session.output
    out.data(_check_json(result))
    if out.json:
        return
    for hint in result.hints:
        out.text(f"hint: {hint}")
    for error in result.errors:
        out.result(f"error: {error}")
    for snapshot_id, path in result.affected:
        out.result(f"damaged: snapshot {snapshot_id[:8]}: {printable(lossy_text(path))}")
    read = f", {result.packs_read} of them read ({size_text(result.bytes_read)})" if result.read else ""
    out.text(f"{result.snapshots} snapshots, {result.trees} folders, {result.packs} packs{read}")
    out.text("no errors were found" if result.ok else f"{len(result.errors)} errors were found")


def _check_json(result: CheckResult) -> dict[str, Any]:
    return {
        "message_type": "summary",
        "num_errors": len(result.errors),
        "errors": result.errors,
        "hints": result.hints,
        "affected": [{"snapshot": snapshot, "path": lossy_text(path)} for snapshot, path in result.affected],
        "snapshots": result.snapshots,
        "packs": result.packs,
        "packs_read": result.packs_read,
        "bytes_read": result.bytes_read,
    }
