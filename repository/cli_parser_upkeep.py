"""The options of the commands that look after a repository, named as restic's."""

from __future__ import annotations

import argparse
from collections.abc import Callable

AddOptions = Callable[[argparse.ArgumentParser], None]

# restic has no short option for keep-tag and the spans; its -H (hourly) is our filter by host elsewhere
_SHORT = {"last": "-l", "hourly": "-H", "daily": "-d", "weekly": "-w", "monthly": "-m", "yearly": "-y"}


def _add_forget(parser: argparse.ArgumentParser) -> None:
    from repository.keep_rules import PERIODS, WITHIN_PERIODS  # here: it imports much

    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="remove these, whatever the policy")
    for period in PERIODS:
        what = "snapshots" if period == "last" else f"{period} snapshots"
        add(_SHORT[period], f"--keep-{period}", default="0", metavar="N", help=f"keep the last N {what}")
    since = "of DURATION (such as 1y5m7d2h) before the newest"
    add("--keep-within", metavar="DURATION", help=f"keep all {since}")
    for period in WITHIN_PERIODS:
        add(f"--keep-within-{period}", metavar="DURATION", help=f"keep {period} snapshots {since}")
    add("--keep-tag", action="append", default=[], metavar="TAG[,TAG…]", help="keep what has all of these")
    add("--unsafe-allow-remove-all", action="store_true", help="also if no snapshot of a group stays")
    add(
        "-g",
        "--group-by",
        default="host,paths",
        metavar="GROUP",
        help="host, paths, tags (default: host,paths)",
    )
    add("-n", "--dry-run", action="store_true", help="only say what would be done")
    add("--prune", action="store_true", help="then delete the data that no snapshot needs")
    add_filter(parser)
    _add_prune_options(parser)


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")
    _add_prune_options(parser)


def _add_prune_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--max-unused", default="5%", metavar="LIMIT", help="such as 5%%, 10G or unlimited (default: 5%%)")
    add("--max-repack-size", metavar="SIZE", help="copy at most so much")
    add("--repack-small", action="store_true", help="also join packs below 80%% of the target size")
    add("--repack-uncompressed", action="store_true", help="also compress what is not")


def _add_copy(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="snapshots of the other repository (default: all that fit)")
    add("--from-repo", metavar="PLACE", help="the repository to copy from")
    add("--from-password-file", metavar="FILE", help="file with its password")
    add_filter(parser)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "add", "remove", "passwd"))
    parser.add_argument("ids", nargs="*", metavar="ID", help="the key to remove")
    parser.add_argument("--new-password-file", metavar="FILE", help="file with the new password")


def _add_tag(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="(default: all that fit)")
    add("--set", action="append", default=None, metavar="TAG[,TAG…]", help="in the place of all tags")
    add("--add", action="append", default=[], metavar="TAG[,TAG…]")
    add("--remove", action="append", default=[], metavar="TAG[,TAG…]")
    add_filter(parser)


def _add_repair(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", choices=("index", "packs", "snapshots"), help="in this order, where packs are bad")
    add("ids", nargs="*", metavar="ID", help="packs; snapshots (default: all that fit)")
    add("--forget", action="store_true", help="remove the snapshots that were repaired, and those quite lost")
    add("-n", "--dry-run", action="store_true", help="only say what would be done")
    _add_rebuild(parser)
    add_filter(parser)


def _add_rebuild(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-all-packs", action="store_true", help="believe nothing of the old index")


def add_filter(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose snapshots where no id is given."""
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="of any of these hosts")
    parser.add_argument("--path", action="append", default=[], metavar="PATH", help="has all of these")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG[,TAG…]",
        help="has all of these, or of another --tag",
    )


# What each command does, and what adds its options.
COMMANDS: dict[str, tuple[str, AddOptions]] = {
    "forget": ("remove snapshots, by id or by a policy", _add_forget),
    "prune": ("delete the data that no snapshot needs", _add_prune),
    "copy": ("copy snapshots from another repository to this one", _add_copy),
    "key": ("list, add, remove and change passwords", _add_key),
    "tag": ("change the tags of snapshots", _add_tag),
    "rebuild-index": ("make the index anew from the packs that are stored", _add_rebuild),
    "repair": ("repair a part of the repository", _add_repair),
}
