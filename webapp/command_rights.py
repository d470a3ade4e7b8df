"""`flask backup restore-folders`: where operators may restore to."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from core.access import restore_rights


@click.command("restore-folders")
@with_appcontext
@click.argument("folders", nargs=-1, metavar="[DIR…]")
@click.option("--none", "nowhere", is_flag=True, help="Let operators restore nowhere.")
def restore_folders(folders: Sequence[str], nowhere: bool) -> None:
    """Let operators restore below these folders of this machine, and no others; without any, list them."""
    if nowhere and folders:
        raise click.UsageError("Name folders, or say --none, not both.")
    if folders or nowhere:
        restore_rights.set_folders([os.path.abspath(folder) for folder in folders])
    for folder in restore_rights.folders():
        click.echo(folder)
    if not restore_rights.folders():
        click.echo("Operators may restore nowhere.", err=True)
