"""`flask backup remove`: points that no config looks after."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from core import words
from core.models import Point
from core.points import points
from core.retention import point_removal

_POINTS = click.argument("wanted", nargs=-1, metavar="[POINT]...")


@click.command("remove")
@_POINTS
@click.option("--all", "every", is_flag=True, help="All points that no config looks after.")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.option(
    "--confirm", is_flag=True, help="Also if more than half of a deleted config's points go at once."
)
@with_appcontext
def remove(wanted: Sequence[str], every: bool, dry_run: bool, confirm: bool) -> None:
    """Put points of deleted configs, or of none, into the trash, where they lie for seven days."""
    if bool(wanted) == every:
        raise click.UsageError("Name points, or say --all.")
    chosen = point_removal.choose() if every else _ids(wanted)
    if not chosen:
        click.echo("There is no point that no config looks after.")
        return
    if dry_run:
        removal = point_removal.look(chosen)
    else:
        removal = point_removal.remove(chosen, "the command line", confirmed=confirm)
    for point in removal.leaving:
        click.echo(_line(point))
    for _, reason in removal.staying:
        click.echo(f"{reason[:1].upper()}{reason[1:]}, so it stays.", err=True)
    number, until = words.count(len(removal.leaving), "point"), words.moment(removal.until, "UTC")
    click.echo(f"{number} would go to the trash." if dry_run else f"{number} went to the trash.")
    if not dry_run:
        click.echo(f"`flask backup untrash POINT` undoes it until {until}.")
    sys.exit(3 if removal.staying else 0)


COMMANDS = (remove,)


def _ids(wanted: Sequence[str]) -> list[int]:
    return [points.find(text).id for text in wanted]


def _line(point: Point) -> str:
    name, zone = (point.config.name, point.config.timezone) if point.config else ("no config", "UTC")
    return f"{point.id}  {name}  {words.moment(point.taken_at, zone)}"
