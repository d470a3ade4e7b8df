"""The commands `prune` and `rebuild-index`."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import asdict

from repository.cli_output import size_text
from repository.cli_session import Session, UsageError
from repository.locks import Lock, lock_repository
from repository.prune import PruneResult, prune
from repository.prune_plan import PruneOptions, Unused
from repository.rebuild import rebuild_index
from repository.repository import Repository

_SUFFIXES = {"k": 10, "m": 20, "g": 30, "t": 40}


def prune_command(session: Session, args: argparse.Namespace) -> int:
    """Prune; 1 if something could not be deleted."""
    options = prune_options(args)
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        return prune_and_tell(session, repo, options, lock)


def prune_and_tell(
    session: Session,
    repo: Repository,
    options: PruneOptions,
    lock: Lock,
    as_if_forgotten: Collection[bytes] = (),
) -> int:
    """Prune under a lock, say what was done, and return the exit code."""
    result = prune(repo, options, lock, session.output.progress, as_if_forgotten=as_if_forgotten)
    _tell(session, result)
    return 1 if result.undeleted else 0


def prune_options(args: argparse.Namespace) -> PruneOptions:
    """Return the options of prune from a command line."""
    return PruneOptions(
        max_unused=parse_unused(args.max_unused),
        max_repack_bytes=parse_bytes(args.max_repack_size) if args.max_repack_size else None,
        repack_small=args.repack_small,
        repack_uncompressed=args.repack_uncompressed,
        dry_run=args.dry_run,
    )


def parse_unused(text: str) -> Unused:
    """Return the limit in `5%`, `10G` or `unlimited`."""
    if text == "unlimited":
        return Unused()
    if not text.endswith("%"):
        return Unused(size_bytes=parse_bytes(text))
    try:
        percent = float(text[:-1])
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise UsageError(f"{text!r} is no share of what is stored; write it as 5%")
    return Unused(percent=percent)


def parse_bytes(text: str) -> int:
    """Return the number of bytes in `500`, `10k`, `5M`, `2G` or `1T`, powers of 1024 as restic's."""
    power = _SUFFIXES.get(text[-1:].lower())
    digits = text if power is None else text[:-1]
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"{text!r} is no size; write it as 500M")
    return int(digits) << (power or 0)


def rebuild_command(session: Session, args: argparse.Namespace) -> int:
    """Rebuild the index; 1 if a pack had to be left out."""
    out = session.output
    repo = session.open()
    with lock_repository(repo, exclusive=True) as lock:
        result = rebuild_index(repo, lock, read_all_packs=args.read_all_packs, progress=out.progress)
    for line in (*result.index_damaged, *result.unreadable):
        out.text(line)
    out.text(f"the index lists {result.packs} packs, {result.packs_read} of them read anew")
    out.text(f"{result.packs_gone} packs are gone, {len(result.unreadable)} cannot be read")
    out.data({"message_type": "summary", **asdict(result)})
    return 1 if result.unreadable else 0


def _tell(session: Session, result: PruneResult) -> None:
    out = session.output
    would = "would be " if result.dry_run else ""
    out.text(f"{result.packs_unindexed + result.packs_deleted} packs {would}deleted")
    out.text(f"{result.packs_repacked} packs {would}copied in part ({size_text(result.bytes_repacked)})")
    out.text(f"{size_text(result.bytes_freed)} of {size_text(result.bytes_before)} {would}freed")
    out.text(f"{result.blobs_used} blobs in use; {size_text(result.bytes_unused)} unused may stay for now")
    if result.undeleted:
        out.text(f"Warning: {len(result.undeleted)} packs could not be deleted; prune again later")
    out.data({"message_type": "summary", **asdict(result)})
