"""Which snapshots the upkeep commands mean: ids, or all that fit --host, --path and --tag."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from repository.keep_rules import has_tags
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found


def select(repo: Repository, args: argparse.Namespace) -> list[Found]:
    """Return the snapshots named, each once, or all that fit the filters, oldest first."""
    if args.ids:
        return list(dict((repo.find_snapshot(wanted)) for wanted in args.ids).items())
    return [each for each in repo.list_snapshots() if _fits(each[1], args)]


def split_lists(given: Sequence[str]) -> list[list[str]]:
    """Return the lists of tags in `--tag a,b --tag c`; an empty text is the empty tag."""
    return [[tag.strip() for tag in each.split(",")] for each in given]


def _fits(snapshot: Snapshot, args: argparse.Namespace) -> bool:
    lists = split_lists(args.tag)
    return (
        (not args.host or snapshot.hostname in args.host)
        and set(args.path) <= set(snapshot.paths)
        and (not lists or any(has_tags(snapshot, tags) for tags in lists))
    )
