"""`flask backup channel …`: show, make, change and delete channels, with the JSON of the API."""

from __future__ import annotations

from typing import TextIO

import click

from core.configs import awaited
from core.errors import NotFound
from core.messaging import channels
from core.models import Channel
from webapp.api.channel_shape import channel as shape_of
from webapp.api.channel_shape import parse
from webapp.commands import api_json as json
from webapp.commands.group import Group

group = Group("channel", help="Show, make, change and delete channels; `channels` lists and tests them.")

_WANTED = click.argument("wanted", metavar="NAME")


@group.command("show")
@_WANTED
def show(wanted: str) -> None:
    """Print a channel as JSON, as `set` and the API take it. Secrets are not in it."""
    json.show(shape_of(find(wanted)))


@group.command("set")
@json.FILE
def put(file: TextIO) -> None:
    """Make the channel that a JSON file describes, or change the one that has its name.

    What the file does not name stays as it is. Prints the number.
    """
    with json.fields_told():
        data = json.read(file)
        known = next((each for each in channels.list_all() if each.name == data.get("name")), None)
        given = parse(data, known)
        row = channels.update(known.id, *given) if known else channels.create(*given)
    number, name = row.id, row.name
    awaited.follow()
    click.echo(f"{'Changed' if known else 'Made'} {name}.", err=True)
    click.echo(number)


@group.command("delete")
@_WANTED
def delete(wanted: str) -> None:
    """Remove a channel, and what was to be sent to it."""
    channels.delete(find(wanted).id)
    click.echo(f"Deleted {wanted}.")


def find(wanted: str) -> Channel:
    """Return the channel of this name. Raises NotFound."""
    for each in channels.list_all():
        if each.name == wanted:
            return each
    raise NotFound(f"There is no channel {wanted!r}.", "`flask backup channels` names them.")
