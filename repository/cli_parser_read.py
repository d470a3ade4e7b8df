"""The options of the commands that look into snapshots, named as restic's."""

from __future__ import annotations

import argparse

from repository.cli_parser_upkeep import AddOptions, add_filter


def _add_dump(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("snapshot", metavar="ID", help="snapshot, or latest")
    add("file", metavar="PATH", help="in the snapshot; / for all of it, as an archive")
    add("-a", "--archive", choices=("tar", "zip"), default="tar", help="for folders (default: tar)")
    add("-H", "--host", metavar="NAME")
    add("--path", action="append", default=[], metavar="PATH")
    add("--tag", action="append", default=[], metavar="TAG[,TAG…]", help="has all of these")
    _add_no_lock(parser)


def _add_find(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("patterns", nargs="+", metavar="PATTERN", help="as for --exclude; what is below a match is one, too")
    add("-i", "--ignore-case", action="store_true")
    add("-l", "--long", action="store_true", help="with modes, owners, sizes and times")
    add("-O", "--oldest", metavar="TIME", help="changed then or later, such as 2026-01-31")
    add("-N", "--newest", metavar="TIME", help="changed then or before")
    add("-s", "--snapshot", action="append", default=[], metavar="ID", dest="ids", help="only in these")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--blob", action="store_true", help="the patterns are ids of data blobs")
    kinds.add_argument("--tree", action="store_true", help="the patterns are ids of trees")
    add_filter(parser)
    _add_no_lock(parser)


def _add_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs=2, metavar="ID", help="snapshots: the earlier, the later")
    parser.add_argument("--metadata", action="store_true", help="also say where only metadata changed")
    _add_no_lock(parser)


def _add_stats(parser: argparse.ArgumentParser) -> None:
    from repository.stats import MODES  # here: it imports much

    parser.add_argument("ids", nargs="*", metavar="ID", help="(default: all that fit)")
    parser.add_argument("--mode", choices=MODES, default="restore-size", help="(default: restore-size)")
    add_filter(parser)
    _add_no_lock(parser)


def _add_cat(parser: argparse.ArgumentParser) -> None:
    what = ("config", "index", "snapshot", "blob", "pack", "key", "lock", "masterkey")
    parser.add_argument("object", choices=what)
    parser.add_argument("ids", nargs="*", metavar="ID")
    _add_no_lock(parser)


def _add_no_lock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-lock", action="store_true", help="take no lock; for a read-only storage")


# What each command does, and what adds its options.
COMMANDS: dict[str, tuple[str, AddOptions]] = {
    "dump": ("write a file of a snapshot, or a folder as an archive, to stdout", _add_dump),
    "find": ("find files and folders in snapshots", _add_find),
    "diff": ("say what changed from one snapshot to another", _add_diff),
    "stats": ("count what is in snapshots", _add_stats),
    "cat": ("write out an object of the repository", _add_cat),
}
