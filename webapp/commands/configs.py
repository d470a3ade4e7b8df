"""`flask backup configs …`: look at configs, make, change, delete them, with the JSON of the API."""

from __future__ import annotations

from typing import Any, TextIO

import click

from core.configs import config_source, configs, states
from core.errors import NotFound
from core.jobs import job_deletion
from core.models import Config
from webapp.api import config_input
from webapp.api.config_shape import config as shape_of
from webapp.commands import api_json as json
from webapp.commands.group import Group, prepare
from webapp.configs import folders

group = Group("configs", help="List, show, make, change and delete configs.")

_WANTED = click.argument("wanted", metavar="NAME|ID")


@group.command("list")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
def list_all(as_json: bool) -> None:
    """List the configs."""
    every = configs.list_all()
    if as_json:
        json.show({"configs": [shape_of(each) for each in every]})
        return
    for each in every:
        click.echo(f"{each.id}  {each.name}  {each.type}, {states.state(each).word}")


@group.command("show")
@_WANTED
def show(wanted: str) -> None:
    """Print a config as JSON, as `set` and the API take it. Passwords are not in it."""
    json.show(shape_of(find(wanted)))


@group.command("set")
@click.argument("file", type=click.File(), metavar="FILE|-")
def put(file: TextIO) -> None:
    """Make the config that a JSON file describes, or change the one whose id or name it has.

    What the file does not name stays as it is. Prints the id.
    """
    prepare()
    data = json.read(file)
    with json.fields_told():
        made, verb = _put(data)
    click.echo(f"{verb} {made.name}.", err=True)
    if config_source.is_of_this_machine(made) and (trouble := folders.missing(made.source["paths"])):
        click.echo(f"Warning: {trouble}", err=True)
    click.echo(made.id)


@group.command("duplicate")
@_WANTED
@click.argument("name", required=False)
def duplicate(wanted: str, name: str | None) -> None:
    """Make a paused copy of a config, under NAME or the next free one. Prints its id."""
    made = configs.duplicate(find(wanted).id, name)
    click.echo(f"Made {made.name}, paused: change it, then resume it.", err=True)
    click.echo(made.id)


@group.command("delete")
@_WANTED
@click.option("--points", type=click.Choice(["keep", "trash"]), default="keep", show_default=True,
              help="What becomes of its points; what is in the trash goes after seven days.")  # fmt: skip
def delete(wanted: str, points: str) -> None:
    """Stop a config for good."""
    found = find(wanted)
    config_id, name = found.id, found.name
    configs.delete(config_id)
    number = job_deletion.trash_all_of(config_id) if points == "trash" else 0
    kept = f"{number} of its points went to the trash." if points == "trash" else "Its points stay."
    click.echo(f"Deleted {name}. {kept}")


def find(wanted: str) -> Config:
    """Return the config of this name or id. Raises NotFound."""
    for each in configs.list_all():
        if wanted in (each.id, each.name):
            return each
    raise NotFound(f"There is no config {wanted!r}.", "`flask backup configs list` names them.")


def _put(data: dict[str, Any]) -> tuple[Config, str]:
    known = [each for each in configs.list_all() if each.id == data.get("id")] or [
        each for each in configs.list_all() if not data.get("id") and each.name == data.get("name")
    ]
    if not known:
        return configs.create(config_input.new(data), data.get("id")), "Made"
    return configs.update(known[0].id, config_input.replacement(known[0], data)), "Changed"
