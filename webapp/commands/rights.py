"""`flask backup restore-folders`: where operators may restore to."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from core.access import restore_rights
from core.hosts import hosts


@click.command("restore-folders")
@with_appcontext
@click.argument("folders", nargs=-1, metavar="[DIR…]")
@click.option("--host", "host_name", metavar="NAME", help="On this host, instead of this machine.")
@click.option("--none", "nowhere", is_flag=True, help="Let operators restore nowhere.")
def restore_folders(folders: Sequence[str], host_name: str | None, nowhere: bool) -> None:
    """Let operators restore below these folders, and no others there; without any, list them."""
    if nowhere and folders:
        raise click.UsageError("Name folders, or say --none, not both.")
    host_id = hosts.find(host_name).id if host_name else None
    if folders or nowhere:
        whole = [folder if host_id else os.path.abspath(folder) for folder in folders]
        restore_rights.set_folders(whole, host_id)
    for folder in restore_rights.folders(host_id):
        click.echo(folder)
    if not restore_rights.folders(host_id):
        click.echo(
            "Operators may restore nowhere there." if host_id else "Operators may restore nowhere.", err=True
        )
