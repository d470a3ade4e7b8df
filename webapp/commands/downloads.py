"""`flask backup download …`: build an archive of a point first, then take it: whole, with its hash."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import BinaryIO

import click

from core import words
from core.errors import HoldfastError
from core.models import BuiltDownload
from core.points import built_downloads, built_rules
from core.points.tokens import token_from_path
from jobs import tasks
from webapp.api import download_shape
from webapp.commands import api_json as json
from webapp.commands import follow, output
from webapp.commands.find import find_point
from webapp.commands.group import Group

group = Group("download", help="Build large downloads first, then take them: whole, with their hash.")

_ID = click.argument("built_id", metavar="DOWNLOAD", type=int)
_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
_PIECE = 1 << 20
_WHO = "the command line"


@group.command("build")
@click.argument("point", metavar="POINT|latest")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--form", type=click.Choice(["zip", "tar"]), default="zip", show_default=True)
@click.option("--config", "config_name", metavar="NAME", help="Of which config `latest` is.")
@click.option("--wait", is_flag=True, help="Wait until it is ready, and say its hash.")
@click.option("--max-wait", type=click.IntRange(min=0), default=3600, show_default=True, metavar="SECONDS")
def build(
    point: str, paths: tuple[str, ...], form: str, config_name: str | None, wait: bool, max_wait: int
) -> None:
    """Build an archive of PATHs of a point, or of all of it; prints its number."""
    found = find_point(point, config_name)
    include = [token_from_path(_bytes(path)) for path in paths]
    given = built_downloads.validate({"point_id": found.id, "include": include, "form": form})
    row = built_downloads.create(given, "command", _WHO)
    built_id, job_id = row.id, row.job_id
    if row.job.status == "queued":
        tasks.enqueue([job_id])
    click.echo(built_id)
    if not wait:
        return
    job = follow.follow(job_id, max_wait)
    row = built_downloads.get(built_id)
    click.echo(
        f"{row.sha256}  {row.name}" if row.ready_at else f"{job.summary} {job.advice}".strip(), err=True
    )
    sys.exit(0 if row.ready_at else 1)


@group.command("list")
@click.option("--last", type=click.IntRange(1, 500), default=50, show_default=True, help="So many.")
@_JSON
def list_all(last: int, as_json: bool) -> None:
    """List the newest built downloads."""
    found = built_downloads.list_page(per_page=last).items
    if as_json:
        json.show({"downloads": [download_shape.download(each) for each in found]})
    elif found:
        output.table(("DOWNLOAD", "NAME", "POINT", "STATE", "SIZE", "UNTIL"), [_row(each) for each in found])
    else:
        click.echo("No download was built.")


@group.command("show")
@_ID
def show(built_id: int) -> None:
    """Print a built download as JSON: its state, its hash, what is left out."""
    json.show(download_shape.download(built_downloads.get(built_id)))


@group.command("fetch")
@_ID
@click.option("--to", "target", type=click.File("wb"), metavar="FILE|-", required=True)
def fetch(built_id: int, target: BinaryIO) -> None:
    """Copy a built download to a file, and hold it against its hash."""
    row, path = built_downloads.file_of(built_id)
    seen = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            seen.update(piece)
            target.write(piece)
    if seen.hexdigest() != row.sha256:
        raise HoldfastError(
            f"The file of download {row.id} is not what was built: its hash is another.",
            "Remove it and build it again; look at the disk of the data folder.",
        )
    click.echo(f"{row.sha256}  {row.name}", err=True)


@group.command("remove")
@_ID
def remove(built_id: int) -> None:
    """Remove the file of a built download before its time."""
    built_downloads.remove(built_id, _WHO)
    click.echo(f"Download {built_id} is removed.")


@group.command("rules")
@click.option("--build-above", type=int, metavar="BYTES", help="Offer to build what is larger, on pages.")
@click.option("--keep-hours", type=int, metavar="HOURS", help="So long one is kept once it is ready.")
@click.option("--most", type=int, metavar="BYTES", help="So much all of them may take together.")
def rules(build_above: int | None, keep_hours: int | None, most: int | None) -> None:
    """Print the rules for built downloads, or change them."""
    wanted = {"build_above_bytes": build_above, "keep_hours": keep_hours, "most_bytes": most}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    json.show((built_rules.change(wanted) if wanted else built_rules.current()).model_dump())


def _row(row: BuiltDownload) -> tuple[str, ...]:
    until = f"{row.expires_at:%Y-%m-%d %H:%M} UTC" if row.expires_at and not row.removed_at else ""
    size = words.size(row.size_bytes) if row.ready_at else ""
    return str(row.id), row.name, str(row.point_id), built_downloads.state(row), size, until


def _bytes(path: str) -> bytes:
    if not path.startswith("/"):
        raise click.UsageError("Give the whole path, from / on.")
    return os.fsencode(os.path.normpath("/" + path.lstrip("/")))
