"""The commands that compare and search snapshots: find, diff, stats."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from repository.cli_backup import parse_moment
from repository.cli_nodes import found_json, node_line
from repository.cli_output import printable, size_text
from repository.cli_select import select
from repository.cli_session import Session, UsageError
from repository.diff import Diff, Side
from repository.find import find_paths, find_uses
from repository.gotext import lossy_text, parse_time
from repository.ids import is_hex_id
from repository.repository import Repository
from repository.snapshots import Found
from repository.stats import stats
from repository.tree import Node
from sources.patterns import PatternError, PatternList


def find_command(session: Session, args: argparse.Namespace) -> int:
    """Find; 0 also if nothing is found, as restic."""
    fits = None if args.blob or args.tree else _fits(session, args)
    repo = session.open()
    with session.locked(repo):
        found = select(repo, args)[::-1]
        repo.load_index()
        answers = []
        for each in found:
            answers += _uses(session, repo, each, args) if fits is None else _paths(session, repo, each, fits)
    session.output.data(answers)
    return 0


def _paths(
    session: Session, repo: Repository, found: Found, fits: Callable[[bytes, Node], bool]
) -> list[dict[str, Any]]:
    """Tell, or return for JSON, what fits in one snapshot."""
    snapshot_id, snapshot = found
    matches = []
    for path, node in find_paths(repo, snapshot, fits):
        if session.output.json:
            matches.append(found_json(path, node))
            continue
        if not matches:
            moment = snapshot.time[:19].replace("T", " ")
            session.output.text(f"in snapshot {snapshot_id.hex()[:8]} from {moment}:")
            matches.append({})
        session.output.result(node_line(path, node, session.args.long))
    if not session.output.json or not matches:
        return []
    return [{"matches": matches, "hits": len(matches), "snapshot": snapshot_id.hex()}]


def _uses(session: Session, repo: Repository, found: Found, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Tell, or return for JSON, what refers to blobs or trees in one snapshot."""
    snapshot_id, snapshot = found
    ids = [_id(text) for text in args.patterns]
    answers = []
    for use in find_uses(repo, snapshot, ids if args.blob else (), ids if args.tree else ()):
        path = lossy_text(use.path)
        answers.append(
            {
                "object_type": use.kind,
                "id": use.id.hex(),
                "path": path,
                "parent_tree": use.parent.hex(),
                "snapshot": snapshot_id.hex(),
                "time": snapshot.time,
            }
        )
        if not session.output.json:
            where = f"snapshot {snapshot_id.hex()[:8]}: {printable(path)}"
            session.output.result(f"{use.kind} {use.id.hex()} in {where}")
    return answers


def _id(text: str) -> bytes:
    if not is_hex_id(text):
        raise UsageError(f"{text!r} is no id: write all 64 hex digits of it, in lower case")
    return bytes.fromhex(text)


def _fits(session: Session, args: argparse.Namespace) -> Callable[[bytes, Node], bool]:
    try:
        patterns = PatternList(args.patterns, ignore_case=args.ignore_case)
    except PatternError as error:
        raise UsageError(str(error)) from error
    oldest = parse_moment(args.oldest, session) if args.oldest else None
    newest = parse_moment(args.newest, session) if args.newest else None

    def fits(path: bytes, node: Node) -> bool:
        if patterns.match(path) is None:
            return False
        if oldest is None and newest is None:
            return True
        mtime = parse_time(node.mtime)
        return (oldest is None or mtime >= oldest) and (newest is None or mtime <= newest)

    return fits


def diff_command(session: Session, args: argparse.Namespace) -> int:
    """Compare two snapshots."""
    out = session.output
    repo = session.open()
    with session.locked(repo):
        (before_id, before), (after_id, after) = (repo.find_snapshot(each) for each in args.ids)
        repo.load_index()
        diff = Diff(repo, before, after, metadata=args.metadata)
        for change in diff.changes():
            path = lossy_text(change.path)
            if out.json:
                out.data({"message_type": "change", "path": path, "modifier": change.modifier})
            else:
                out.result(f"{change.modifier:<4} {printable(path)}")
    out.data(
        {
            "message_type": "statistics",
            "source_snapshot": before_id.hex(),
            "target_snapshot": after_id.hex(),
            **asdict(diff.stats),
        }
    )
    out.text(f"{diff.stats.changed_files} files changed")
    out.text(f"added:   {_side(diff.stats.added)}")
    out.text(f"removed: {_side(diff.stats.removed)}")
    return 0


def _side(side: Side) -> str:
    things = f"{side.files} files, {side.dirs} folders, {side.others} others"
    return f"{things}; {side.data_blobs} data blobs, {side.tree_blobs} tree blobs, {size_text(side.bytes)}"


def stats_command(session: Session, args: argparse.Namespace) -> int:
    """Count what is in snapshots."""
    out = session.output
    repo = session.open()
    with session.locked(repo):
        found = select(repo, args)
        repo.load_index()
        result = stats(repo, [snapshot for _, snapshot in found], args.mode)
    shown: dict[str, Any] = {"total_size": result.bytes, "total_file_count": result.files}
    if args.mode == "raw-data":
        ratio = result.plain_bytes / result.bytes if result.bytes else 0
        shown = {
            "total_size": result.bytes,
            "total_uncompressed_size": result.plain_bytes,
            "compression_ratio": ratio,
            "total_blob_count": result.blobs,
        }
    out.data({**shown, "snapshots_count": result.snapshots})
    counted = f"{result.blobs} blobs" if args.mode == "raw-data" else f"{result.files} files"
    out.text(f"{args.mode}: {result.snapshots} snapshots, {counted}, {size_text(result.bytes)}")
    return 0
