"""`flask backup ls | dump | restores`: look into points without restoring them; the restores there were."""

from __future__ import annotations

import os
from typing import BinaryIO

import click
from flask.cli import with_appcontext

from core import words
from core.points import browse, tokens
from core.restores import restores
from webapp.commands import output
from webapp.commands.find import find_point

_POINT = click.argument("point", metavar="POINT|latest")
_CONFIG = click.option("--config", "config_name", metavar="NAME", help="Of which config `latest` is.")


@click.command("ls")
@_POINT
@click.argument("path", default="/")
@_CONFIG
@with_appcontext
def ls(point: str, path: str, config_name: str | None) -> None:
    """List a folder of a point, folders first."""
    for row in browse.list_dir(find_point(point, config_name), _bytes(path)):
        size = "" if row.size is None else words.size(row.size)
        at = f"{row.mtime:%Y-%m-%d %H:%M}" if row.mtime else ""
        link = f" -> {row.linktarget}" if row.linktarget else ""
        click.echo(f"{row.kind:9} {size:>11} {at:16}  {tokens.printable(row.path)}{link}")


@click.command("dump")
@_POINT
@click.argument("path")
@click.option(
    "--to", "target", type=click.File("wb", lazy=True), default="-", metavar="FILE|-", show_default=True
)
@click.option("--archive", type=click.Choice(["tar", "zip"]), help="A folder, or all of it, as this.")
@_CONFIG
@with_appcontext
def dump(point: str, path: str, target: BinaryIO, archive: str | None, config_name: str | None) -> None:
    """Write one file of a point, or a folder as an archive."""
    found = find_point(point, config_name)
    if archive:
        content = browse.stream_folder(found, _bytes(path), "tar" if archive == "tar" else "zip")
    else:
        _, content = browse.read_file(found, _bytes(path))
    for piece in content:
        target.write(piece)


@click.command("restores")
@click.option("--last", type=click.IntRange(1, 500), default=50, show_default=True, help="So many.")
@with_appcontext
def list_restores(last: int) -> None:
    """List the newest restores."""
    found = restores.list_restores(per_page=last).items
    rows = [
        (str(each.id), str(each.job_id), str(each.point_id), each.target, each.job.status, each.job.summary)
        for each in found
    ]
    if rows:
        output.table(("RESTORE", "JOB", "POINT", "TO", "STATUS", "SUMMARY"), rows)
    else:
        click.echo("Nothing was restored yet.")


def _bytes(path: str) -> bytes:
    if not path.startswith("/"):
        raise click.UsageError("Give the whole path, from / on.")
    return os.fsencode(os.path.normpath("/" + path.lstrip("/")))


COMMANDS = (ls, dump, list_restores)
