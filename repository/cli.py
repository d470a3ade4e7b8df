"""The engine's command line: options and environment named as restic's. See --help for the exit codes."""

from __future__ import annotations

import argparse
import getpass
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from repository.cli_output import Output
from repository.cli_parser import parse
from repository.cli_session import Session, UsageError, decode_password
from repository.cli_zone import local_zone
from repository.entries import SourceUnavailable, TargetError
from repository.errors import Cancelled, Locked, NoRepository, RepositoryError, WrongPassword
from storage_adapters.errors import StorageError

OK, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
NO_REPOSITORY, LOCKED, WRONG_PASSWORD, INTERRUPTED = 10, 11, 12, 130

Command = Callable[[Session, argparse.Namespace], int]

# Each command's function and its module, which is imported only when it is run.
COMMANDS = {
    "init": ("cli_commands", "init"),
    "backup": ("cli_backup", "backup_command"),
    "snapshots": ("cli_commands", "snapshots"),
    "ls": ("cli_commands", "ls"),
    "restore": ("cli_restore", "restore_command"),
    "check": ("cli_check", "check_command"),
    "dump": ("cli_dump", "dump_command"),
    "find": ("cli_find", "find_command"),
    "diff": ("cli_find", "diff_command"),
    "stats": ("cli_find", "stats_command"),
    "cat": ("cli_dump", "cat_command"),
    "unlock": ("cli_commands", "unlock"),
    "forget": ("cli_forget", "forget_command"),
    "prune": ("cli_prune", "prune_command"),
    "copy": ("cli_upkeep", "copy_command"),
    "key": ("cli_upkeep", "key_command"),
    "tag": ("cli_upkeep", "tag_command"),
    "rebuild-index": ("cli_prune", "rebuild_command"),
    "repair": ("cli_repair", "repair_command"),
}


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    args = parse(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a listing
    output = Output(json=args.json, quiet=args.quiet)
    _end_cleanly_on_signals()
    try:
        code = _run(args, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; nothing can be told to it any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _run(args: argparse.Namespace, output: Output) -> int:
    try:
        with Session(
            args, output, _password, local_zone(os.environ), os.environ, _repository(args)
        ) as session:
            if args.command != "init":
                session.seek_key()  # before the command is imported, which takes its time, too
            return _load(args.command)(session, args)
    except BrokenPipeError:
        raise
    except (RepositoryError, StorageError, SourceUnavailable, TargetError, UsageError, OSError) as error:
        code = _code_of(error)
        output.fail(code, str(error))
        return code
    except KeyboardInterrupt:
        output.fail(INTERRUPTED, "interrupted; nothing that refers to unfinished work was written")
        return INTERRUPTED


def _load(command: str) -> Command:
    module, name = COMMANDS[command]
    found: Command = getattr(importlib.import_module(f"repository.{module}"), name)
    return found


def _code_of(error: Exception) -> int:
    codes: list[tuple[type[Exception], int]] = [
        (NoRepository, NO_REPOSITORY),
        (Locked, LOCKED),
        (WrongPassword, WRONG_PASSWORD),
        (Cancelled, INTERRUPTED),
        (UsageError, USAGE),
    ]
    return next((code for kind, code in codes if isinstance(error, kind)), FAILED)


def _repository(args: argparse.Namespace) -> str:
    place = args.repo or os.environ.get("RESTIC_REPOSITORY", "")
    if not place:
        raise UsageError("name the repository with -r PLACE, or in RESTIC_REPOSITORY")
    return str(place)


def _password(args: argparse.Namespace, *, confirm: bool = False) -> str:
    """Return the password, from --password-file, the environment, or a terminal."""
    file = args.password_file or os.environ.get("RESTIC_PASSWORD_FILE")
    if file:
        with open(file, "rb") as opened:
            return decode_password(opened.read())
    given = os.environ.get("RESTIC_PASSWORD")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise UsageError("give the password with --password-file FILE, or in RESTIC_PASSWORD")
    password = getpass.getpass("password of the repository: ")
    if confirm and getpass.getpass("the same again: ") != password:
        raise UsageError("the two passwords are not the same")
    return password


def _end_cleanly_on_signals() -> None:
    """Turn SIGTERM and SIGINT into one exception, so that locks are removed and half-written files too."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        # Once is enough: a second signal would interrupt the cleaning up.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
