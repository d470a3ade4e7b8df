"""The command `forget`: by id, or by a policy for each group, with a reason for each snapshot kept."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from repository.cli_output import printable
from repository.cli_prune import prune_and_tell, prune_options
from repository.cli_select import select, split_lists
from repository.cli_session import Session, UsageError
from repository.errors import RepositoryError
from repository.forget import forget
from repository.gotext import LocalZone
from repository.keep_rules import (
    KEEP_ALL,
    NO_SPAN,
    PERIODS,
    WITHIN_PERIODS,
    Decision,
    Duration,
    GroupKey,
    KeepRules,
    apply_rules,
    group_snapshots,
    parse_group_by,
)
from repository.locks import lock_repository
from repository.repository import Repository
from repository.snapshot import Snapshot

Decided = list[tuple[GroupKey, list[Decision]]]


def forget_command(session: Session, args: argparse.Namespace) -> int:
    """Remove snapshots; with --prune also what only they needed."""
    rules, group_by, options = _rules(args), _group_by(args), prune_options(args)
    if not args.ids and rules.empty:
        raise UsageError(
            "say which snapshots to forget: name their ids, or keep some with --keep-last 3 or another rule"
        )
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        if args.ids:
            going = [snapshot_id for snapshot_id, _ in select(repo, args)]
            decided = None
        else:
            decided = _decide(session, repo, args, rules, group_by)
            going = [each.snapshot_id for _, group in decided for each in group if not each.keep]
        if not args.dry_run:
            forget(repo, going, lock)
        _tell(session, going, decided, dry_run=args.dry_run)
        if not (args.prune and going):
            return 0
        return prune_and_tell(session, repo, options, lock, going if args.dry_run else ())


def _rules(args: argparse.Namespace) -> KeepRules:
    spans = {name: getattr(args, f"keep_within_{name}") for name in WITHIN_PERIODS}
    try:
        return KeepRules(
            counts={name: _count(getattr(args, f"keep_{name}")) for name in PERIODS},
            within=Duration.parse(args.keep_within) if args.keep_within else NO_SPAN,
            within_periods={name: Duration.parse(span) for name, span in spans.items() if span},
            tags=split_lists(args.keep_tag),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _count(text: str) -> int:
    if text in ("unlimited", "-1"):
        return KEEP_ALL
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number of snapshots to keep; write 7, or unlimited")
    return int(text)


def _group_by(args: argparse.Namespace) -> frozenset[str]:
    try:
        return parse_group_by(args.group_by)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _decide(
    session: Session, repo: Repository, args: argparse.Namespace, rules: KeepRules, group_by: frozenset[str]
) -> Decided:
    """Apply the policy to each group. Raises RepositoryError if it would leave nothing of one."""
    zone, now_ns = LocalZone(session.zone), time.time_ns()
    groups = group_snapshots(select(repo, args), group_by)
    decided = [(key, apply_rules(found, rules, now_ns, zone)) for key, found in groups.items()]
    emptied = [key for key, group in decided if not any(each.keep for each in group)]
    if emptied and not args.unsafe_allow_remove_all:
        raise RepositoryError(
            f"the policy keeps no snapshot at all of {_group_text(emptied[0])}, so nothing was removed. "
            "Keep at least the last with --keep-last 1, or allow it with --unsafe-allow-remove-all"
        )
    return decided


def _tell(session: Session, going: Sequence[bytes], decided: Decided | None, *, dry_run: bool) -> None:
    out = session.output
    if decided is None:
        for snapshot_id in going:
            out.text(f"snapshot {snapshot_id.hex()[:8]} {'would be ' if dry_run else ''}removed")
        out.data({"message_type": "summary", "removed": [each.hex() for each in going]})
        return
    for key, group in decided:
        out.text(f"snapshots of {_group_text(key)}:")
        for each in group:
            out.text(f"  {_line(each, dry_run=dry_run)}")
    out.text(f"{len(going)} snapshots {'would be ' if dry_run else ''}removed")
    out.data([_group_json(key, group) for key, group in decided])


def _line(decision: Decision, *, dry_run: bool) -> str:
    words = ", ".join(decision.reasons) if decision.keep else "removed, no rule keeps it"
    if dry_run and not decision.keep:
        words = "would be removed, no rule keeps it"
    moment = decision.snapshot.time[:19].replace("T", " ")
    tags = ",".join(decision.snapshot.tags)
    columns = (decision.snapshot_id.hex()[:8], moment, decision.snapshot.hostname, tags, words)
    return printable("  ".join(column for column in columns if column))


def _group_text(key: GroupKey) -> str:
    parts = [f"host {key.hostname}"] if key.hostname is not None else []
    parts += [f"paths {' '.join(key.paths)}"] if key.paths is not None else []
    parts += [f"tags {','.join(key.tags)}"] if key.tags is not None else []
    return printable(", ".join(parts)) or "all hosts"


def _group_json(key: GroupKey, group: Sequence[Decision]) -> dict[str, Any]:
    kept = [each for each in group if each.keep]
    return {
        "tags": list(key.tags) if key.tags else None,
        "host": key.hostname or "",
        "paths": list(key.paths) if key.paths else None,
        "keep": [_snapshot_json(each.snapshot_id, each.snapshot) for each in kept],
        "remove": [_snapshot_json(each.snapshot_id, each.snapshot) for each in group if not each.keep]
        or None,
        "reasons": [
            {"snapshot": _snapshot_json(each.snapshot_id, each.snapshot), "matches": each.reasons}
            for each in kept
        ],
    }


def _snapshot_json(snapshot_id: bytes, snapshot: Snapshot) -> dict[str, Any]:
    name = snapshot_id.hex()
    return {**json.loads(snapshot.encode()), "id": name, "short_id": name[:8]}
