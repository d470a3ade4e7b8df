"""`flask backup leftovers`: the databases that restores left on a server, listed, put in place, dropped."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from core import words
from core.configs import configs
from core.models import Config
from core.restores import database_leftovers


@click.command("leftovers")
@click.option("--config", "config_name", metavar="NAME", help="Of this config's server (name or id).")
@click.option("--put-in-place", "put", metavar="DATABASE", help="Give it the name that it is meant for.")
@click.option("--drop", metavar="DATABASE", help="Drop it, for ever.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for scripts.")
def leftovers(config_name: str | None, put: str | None, drop: str | None, as_json: bool) -> None:
    """List the databases that restores left on a server; drop one, or put it in place."""
    if put and drop:
        raise click.UsageError("Either --put-in-place or --drop, not both.")
    config = _config(config_name)
    if drop:
        database_leftovers.drop(config, drop, drop)
        click.echo(f"{drop} is dropped.")
    elif put:
        kept = database_leftovers.put_in_place(config, put)
        click.echo(f"{put} is in place." + (f" What was there is kept as {kept}." if kept else ""))
    else:
        _list(config, as_json=as_json)


def _config(wanted: str | None) -> Config:
    """Return the config named, or the only one of type database. Raises UsageError."""
    every = [
        each for each in [*configs.list_all(), *configs.list_all(deleted=True)] if each.type == "database"
    ]
    fitting = [each for each in every if wanted is None or wanted in (each.id, each.name)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(each.name for each in every) or "none"
    raise click.UsageError(f"Say whose server with --config NAME. Configs of type database: {names}.")


def _list(config: Config, *, as_json: bool) -> None:
    found = database_leftovers.list_left(config)
    if as_json:
        click.echo(json.dumps({"leftovers": [asdict(each) for each in found]}, indent=2))
        return
    if not found:
        click.echo("Restores left no database on this server.")
    for each in found:
        size = words.size(each.size_bytes) if each.size_bytes is not None else "size unknown"
        what = "replaced by a restore" if each.kind == "before" else "restored, and never given its name"
        click.echo(f"{each.name}  ({size}; {each.meant_for}, {what})")
