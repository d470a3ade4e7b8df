"""What all commands share: one sentence and exit code 1 for what a person can mend, and a first start."""

from __future__ import annotations

import os
import pwd
import sys
from typing import Any

import click
from flask.cli import AppGroup

from core import setup
from core.errors import HoldfastError
from webapp.commands import notes as command_notes


class Group(AppGroup):
    """Commands with the app's database; an error that a person can mend is a sentence, not a traceback."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command; what it does will be noted in the audit log."""
        if not isinstance(cmd, click.Group) and cmd.callback is not None:
            cmd.callback = command_notes.noted(cmd.callback, person)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command named."""
        try:
            return super().invoke(ctx)
        except HoldfastError as error:
            click.echo(str(error), err=True)
            ctx.exit(1)


def person() -> str:
    """Return who runs this command, by the name of the user on this machine."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that has no name
        return f"user {os.getuid()}"


def prepare() -> None:
    """See to it that there is a repository; a recovery key made now is printed once, to the terminal."""
    key = setup.ensure_for_command(sys.stdin.isatty() and sys.stderr.isatty())
    for note in setup.notes():
        click.echo(note, err=True)
    if key is None:
        return
    click.echo("This is your recovery key. It is shown only once; write it down and keep it safe:", err=True)
    click.echo(f"\n    {key}\n", err=True)
    click.echo("Without it, nobody can read the backups when this machine is gone.", err=True)
