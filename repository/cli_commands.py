"""The short commands: init, snapshots, ls, unlock."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from repository.cli_nodes import node_json, node_line
from repository.cli_output import printable, size_text
from repository.cli_session import Session
from repository.locks import remove_stale_locks
from repository.lookup import find_node, list_dir, walk
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found, fits
from repository.tree import Node


def init(session: Session, args: argparse.Namespace) -> int:
    """Make a repository."""
    repo = session.init()
    session.output.text(f"repository {repo.id[:10]} made at {session.place}")
    session.output.text("Without its password nothing in it can ever be read. Keep it in a safe place.")
    session.output.data({"message_type": "initialized", "id": repo.id, "repository": session.place})
    return 0


def snapshots(session: Session, args: argparse.Namespace) -> int:
    """List snapshots."""
    repo = session.open()
    with session.locked(repo):
        found = [repo.find_snapshot(wanted, **_filter(args)) for wanted in args.ids] or repo.list_snapshots()
    fitting = [each for each in found if fits(each[1], **_filter(args))]
    if args.latest:
        fitting = _last_of_each(fitting, args.latest)
    session.output.data([snapshot_json(*each) for each in fitting])
    if not session.output.json:
        for snapshot_id, snapshot in fitting:
            session.output.result(_snapshot_line(snapshot_id, snapshot))
        session.output.text(f"{len(fitting)} snapshots")
    return 0


def ls(session: Session, args: argparse.Namespace) -> int:
    """List what is in a snapshot."""
    repo = session.open()
    with session.locked(repo):
        snapshot_id, snapshot = find_snapshot(repo, args.snapshot, args)
        repo.load_index()
        session.output.data({**snapshot_json(snapshot_id, snapshot), "struct_type": "snapshot"})
        for path, node in _nodes(
            repo, snapshot, [os.fsencode(each) for each in args.folders], args.recursive
        ):
            if session.output.json:
                session.output.data(node_json(path, node))
            else:
                session.output.result(node_line(path, node, args.long))
    return 0


def unlock(session: Session, args: argparse.Namespace) -> int:
    """Remove stale locks, or all."""
    removed = remove_stale_locks(session.open(), remove_all=args.remove_all)
    session.output.text(f"{len(removed)} locks removed")
    session.output.data({"message_type": "summary", "removed": [each.hex() for each in removed]})
    return 0


def find_snapshot(repo: Repository, wanted: str, args: argparse.Namespace) -> Found:
    """Return the snapshot that a command's arguments mean."""
    return repo.find_snapshot(wanted, **_filter(args))


def _filter(args: argparse.Namespace) -> dict[str, Any]:
    tags = [tag for each in args.tag for tag in each.split(",") if tag]
    return {"hostname": args.host, "paths": args.path, "tags": tags}


def _last_of_each(found: Sequence[Found], count: int) -> list[Found]:
    groups: dict[tuple[str, tuple[str, ...]], list[Found]] = {}
    for each in found:
        groups.setdefault((each[1].hostname, tuple(sorted(each[1].paths))), []).append(each)
    chosen = [each for group in groups.values() for each in group[-count:]]
    return sorted(chosen, key=lambda each: each[1].time_ns)


def snapshot_json(snapshot_id: bytes, snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as it is stored, with its id."""
    name = snapshot_id.hex()
    fields: dict[str, Any] = json.loads(snapshot.encode())
    return {**fields, "id": name, "short_id": name[:8]}


def _snapshot_line(snapshot_id: bytes, snapshot: Snapshot) -> str:
    moment = snapshot.time[:19].replace("T", " ")
    size = (snapshot.summary or {}).get("total_bytes_processed")
    columns = [snapshot_id.hex()[:8], moment, snapshot.hostname, ",".join(snapshot.tags)]
    columns += [" ".join(snapshot.paths), size_text(int(size)) if size is not None else ""]
    return "  ".join(printable(column) for column in columns if column)


def _nodes(
    repo: Repository, snapshot: Snapshot, folders: Sequence[bytes], recursive: bool
) -> Iterator[tuple[bytes, Node]]:
    """Yield everything, or what stands in the folders named."""
    if not folders:
        yield from walk(repo, find_node(repo, snapshot, b"/"))
    for folder in folders:
        base = b"/" + folder.strip(b"/")
        if recursive:
            yield from walk(repo, find_node(repo, snapshot, folder), base)
            continue
        for node in list_dir(repo, snapshot, folder):
            yield base.rstrip(b"/") + b"/" + node.name, node
