"""The options of the command line, named as restic's."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from repository import cli_parser_read, cli_parser_upkeep
from repository.cli_parser_upkeep import AddOptions

EXIT_CODES = """exit codes:
  0    done
  1    failed
  2    the command line cannot be understood
  3    backup: a snapshot was made, but some source files could not be read
  10   there is no repository
  11   the repository is locked by somebody else
  12   the password is wrong
  130  interrupted

places: /folder, s3:https://server/bucket/prefix, sftp:user@host:/folder, sftp://user@host:port//folder

environment: RESTIC_REPOSITORY, RESTIC_PASSWORD_FILE, RESTIC_PASSWORD, RESTIC_CACERT, TZ;
  for s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_DEFAULT_REGION or AWS_REGION"""


# What may be given several times, also between options.
_LISTS = {"backup": "paths", "ls": "folders", "snapshots": "ids", "forget": "ids"}
_LISTS |= {"copy": "ids", "tag": "ids", "find": "patterns", "stats": "ids", "repair": "ids"}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line; ends the process with a message (exit code 2) for a bad one."""
    parser = make_parser(argv)
    # argparse takes positional arguments in one piece only; whatever stands behind options is left over.
    args, rest = parser.parse_known_args(argv)
    if rest and (args.command not in _LISTS or any(each.startswith("-") for each in rest)):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    if rest:
        getattr(args, _LISTS[args.command]).extend(rest)
    if args.command == "backup" and args.stdin == bool(args.paths):
        parser.error("name what to back up: files and folders, or --stdin, and not both")
    return args


def make_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser for the command in `argv`; for all if there is none, or help is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m repository",
        description="Back up to, and restore from, a repository of restic's format.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_global(parser, hidden=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _named(argv):
        text, add_options = COMMANDS[name]
        add_options(_command(commands, name, text))
    return parser


def _named(argv: Sequence[str]) -> Iterable[str]:
    """Return the commands to make parsers for: making all of them takes longer than many a command."""
    if "-h" in argv or "--help" in argv:
        return COMMANDS
    return [name for name in COMMANDS if name in argv] or COMMANDS


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_global(parser, hidden=True)
    return parser


def _add_global(parser: argparse.ArgumentParser, *, hidden: bool) -> None:
    """Add what may stand before or after the command; `hidden`: without defaults, which would overwrite."""
    none = argparse.SUPPRESS if hidden else None
    no = argparse.SUPPRESS if hidden else False
    parser.add_argument(
        "-r", "--repo", metavar="PLACE", default=none, help="folder, s3:… or sftp:… of the repository"
    )
    parser.add_argument("-p", "--password-file", metavar="FILE", default=none, help="file with the password")
    parser.add_argument("--cacert", metavar="FILE", default=none, help="certificates of authorities to trust")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        metavar="NAME=VALUE",
        default=none,
        help="s3.region, s3.storage-class, s3.bucket-lookup",
    )
    parser.add_argument("--json", action="store_true", default=no, help="answer in JSON")
    parser.add_argument("-q", "--quiet", action="store_true", default=no, help="say only what is wrong")
    parser.add_argument("--cache-dir", metavar="FOLDER", default=none, help="where to keep what speeds it up")
    parser.add_argument("--no-cache", action="store_true", default=no, help="keep nothing, use nothing kept")
    parser.add_argument(
        "--compression",
        choices=("auto", "off", "max"),
        default=argparse.SUPPRESS if hidden else "auto",
        help="how hard to compress (default: auto)",
    )


def _add_backup(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH")
    add("--stdin", action="store_true", help="back up what comes from the standard input, as one file")
    add("--stdin-filename", default="stdin", metavar="NAME", help="its name in the snapshot (default: stdin)")
    add("-e", "--exclude", action="append", default=[], metavar="PATTERN")
    add("--iexclude", action="append", default=[], metavar="PATTERN", help="the same, in any case of letters")
    add("--exclude-file", action="append", default=[], metavar="FILE", help="file with patterns, one a line")
    add("--iexclude-file", action="append", default=[], metavar="FILE")
    add("--exclude-caches", action="store_true", help="leave out folders with a CACHEDIR.TAG")
    add("--exclude-if-present", action="append", default=[], metavar="NAME[:HEADER]")
    add("--exclude-larger-than", metavar="SIZE", help="such as 500M")
    add("-x", "--one-file-system", action="store_true")
    add("--tag", action="append", default=[], metavar="TAG[,TAG…]")
    add("-H", "--host", metavar="NAME")
    add("--parent", metavar="ID", help="snapshot to compare with (default: the newest of these paths)")
    add("-f", "--force", action="store_true", help="compare with none: read every file")
    add("--time", metavar="TIME", help="time of the snapshot, as 2026-01-31 14:00:00 (default: now)")
    add("--allow-empty", action="store_true", help="also if the source is empty and was not before")
    add("--no-self-check", action="store_true", help="do not open again what was sealed; saves some time")


def _add_restore(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("snapshot", metavar="ID[:FOLDER]", help="snapshot, or latest; with FOLDER, only what is in that")
    add("-t", "--target", required=True, metavar="FOLDER")
    add("-i", "--include", action="append", default=[], metavar="PATTERN")
    add("-e", "--exclude", action="append", default=[], metavar="PATTERN")
    add("--sparse", action=argparse.BooleanOptionalAction, default=True, help="make holes of long zeros")
    add("-n", "--dry-run", action="store_true", help="only say what would be written, kept and replaced")
    add("--verify", action="store_true", help="read everything again at the end, and compare")
    add("--overwrite", choices=("always", "if-newer", "never"), default="always")
    _add_filter(parser)
    _add_no_lock(parser)


def _add_snapshots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--latest", type=int, metavar="N", help="only the last N of each host and paths")
    _add_filter(parser)
    _add_no_lock(parser)


def _add_ls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshot", metavar="ID")
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    parser.add_argument("-l", "--long", action="store_true", help="with modes, owners, sizes and times")
    parser.add_argument("--recursive", action="store_true", help="all below the folders named")
    _add_filter(parser)
    _add_no_lock(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-data", action="store_true", help="read every byte that is stored")
    parser.add_argument(
        "--read-data-subset",
        metavar="PART",
        help="read a part: n/t, or as 5%% or 10G what was not read for longest",
    )
    _add_no_lock(parser)


def _add_unlock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remove-all", action="store_true", help="also locks that seem to be held")


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-H", "--host", metavar="NAME")
    parser.add_argument("--path", action="append", default=[], metavar="PATH")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG[,TAG…]", help="has all of these")


def _add_no_lock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-lock", action="store_true", help="take no lock; for a read-only storage")


# What each command does, and what adds its options.
COMMANDS: dict[str, tuple[str, AddOptions]] = {
    "backup": ("make a snapshot of files and folders", _add_backup),
    "restore": ("write a snapshot, or a part of it, to a folder", _add_restore),
    "snapshots": ("list the snapshots", _add_snapshots),
    "ls": ("list what is in a snapshot", _add_ls),
    "check": ("find out whether everything is there and whole", _add_check),
    "unlock": ("remove locks that were left behind", _add_unlock),
    "init": ("make a new repository", lambda parser: None),
    **cli_parser_read.COMMANDS,
    **cli_parser_upkeep.COMMANDS,
}
