"""The command `repair`: the index, packs, or snapshots."""

from __future__ import annotations

import argparse
from typing import Any

from repository.cli_prune import rebuild_command
from repository.cli_select import select
from repository.cli_session import Session, UsageError
from repository.ids import is_hex_id
from repository.locks import lock_repository
from repository.repair_packs import repair_packs
from repository.repair_snapshots import RepairResult, repair_snapshots


def repair_command(session: Session, args: argparse.Namespace) -> int:
    """Repair; 1 if something is lost for good."""
    if args.what == "index":
        if args.ids or args.forget or args.dry_run:
            raise UsageError("repair index takes no snapshot ids, no --forget and no --dry-run")
        return rebuild_command(session, args)
    if args.what == "packs":
        return _repair_packs(session, args)
    return _repair_snapshots(session, args)


def _repair_packs(session: Session, args: argparse.Namespace) -> int:
    if not args.ids or not all(is_hex_id(each) for each in args.ids):
        raise UsageError("name the packs to repair by all 64 hex digits of their ids, as check does")
    out = session.output
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        result = repair_packs(repo, [bytes.fromhex(each) for each in args.ids], lock, out.progress)
    for kind, blob in result.lost:
        out.text(f"the {kind} blob {blob.hex()} is lost there")
    out.text(f"{result.saved} blobs saved, {len(result.lost)} lost; the next prune deletes the packs")
    if result.lost:
        out.text("back up again, which may bring them back; else repair snapshots")
    lost = [{"type": kind, "id": blob.hex()} for kind, blob in result.lost]
    out.data({"message_type": "summary", "saved": result.saved, "lost": lost})
    return 1 if result.lost else 0


def _repair_snapshots(session: Session, args: argparse.Namespace) -> int:
    out = session.output
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        result = repair_snapshots(
            repo,
            [snapshot_id for snapshot_id, _ in select(repo, args)],
            lock,
            forget=args.forget,
            dry_run=args.dry_run,
            report=lambda problem: out.problem("repair", problem),
            progress=out.progress,
        )
    _tell(session, result)
    return 1 if result.lost else 0


def _tell(session: Session, result: RepairResult) -> None:
    out = session.output
    for old, new in result.repaired:
        becomes = f"is now {new.hex()[:8]}" if new else "would be written anew (dry run)"
        out.text(f"snapshot {old.hex()[:8]} {becomes}")
    for lost in result.lost:
        out.text(f"snapshot {lost.hex()[:8]}: nothing of it is left; --forget removes it")
    out.text(f"{len(result.repaired)} snapshots repaired, {len(result.whole)} are whole")
    out.data(_summary(result))


def _summary(result: RepairResult) -> dict[str, Any]:
    return {
        "message_type": "summary",
        "repaired": [{"old": old.hex(), "new": new.hex()} for old, new in result.repaired],
        "whole": [each.hex() for each in result.whole],
        "lost": [each.hex() for each in result.lost],
    }
