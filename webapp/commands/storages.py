"""`flask backup storage …`: list, show, make, change, test and delete storages, with the JSON of the API."""

from __future__ import annotations

from typing import TextIO

import click

from core.configs import awaited
from core.errors import Conflict, NotFound
from core.models import Storage
from core.storages import providers, storage_edit, storage_probe, storage_setup, storage_uses, storages
from webapp.api.storage_shape import parse
from webapp.api.storage_shape import storage as shape_of
from webapp.commands import api_json as json
from webapp.commands.group import Group, prepare
from webapp.commands.output import table

group = Group("storage", help="List, show, make, change, test and delete storages.")

_WANTED = click.argument("wanted", metavar="NAME|ID")


@group.command("list")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
def list_all(as_json: bool) -> None:
    """List the storages, and whether each answered when it was last looked at."""
    every = storages.list_all()
    if as_json:
        json.show({"storages": [shape_of(each, full=True) for each in every]})
    elif every:
        rows = [
            (each.name, each.provider, providers.where(each), each.unreachable_reason or "answers")
            for each in every
        ]
        table(("STORAGE", "KIND", "WHERE", "STATE"), rows)
    else:
        click.echo("There is no storage yet.")


@group.command("show")
@_WANTED
def show(wanted: str) -> None:
    """Print a storage as JSON, as `set` and the API take it. Secrets are not in it."""
    json.show(shape_of(find(wanted), full=True))


@group.command("set")
@json.FILE
def put(file: TextIO) -> None:
    """Make the storage that a JSON file describes, or change the one whose id or name it has.

    A new one is initialised, or its repository taken over. What the file does not name stays as it is; a
    new place must hold the same marker and repositories. Prints the id.
    """
    prepare()
    with json.fields_told():
        data = json.read(file)
        known = next((each for each in storages.list_all() if data.get("id") == each.id), None) or next(
            (each for each in storages.list_all() if data.get("name") == each.name), None
        )
        given = parse(data, known)
        row = storage_edit.update(known.id, given) if known else storage_setup.create(given)
    storage_id, name = row.id, row.name
    click.echo(f"{'Changed' if known else 'Made'} {name}.", err=True)
    for step in awaited.follow():
        click.echo(f"Made the {step.noun} {step.name}, which waited for it.", err=True)
    click.echo(storage_id)


@group.command("test")
@_WANTED
def test(wanted: str) -> None:
    """Write, read and delete a probe."""
    click.echo(storage_probe.test(find(wanted)))


@group.command("delete")
@_WANTED
def delete(wanted: str) -> None:
    """Forget a storage; what is on it stays there. Refused while anything depends on it."""
    row = find(wanted)
    name = row.name
    if reasons := storage_uses.why_not_delete(row.id):
        raise Conflict(f"{name} cannot be deleted. {' '.join(reasons)}")
    storage_edit.delete(row.id)
    click.echo(f"Deleted {name} here. What is on it was not touched.")


def find(wanted: str) -> Storage:
    """Return the storage of this name or id. Raises NotFound."""
    for each in storages.list_all():
        if wanted in (each.id, each.name):
            return each
    raise NotFound(f"There is no storage {wanted!r}.", "`flask backup storage list` names them.")
