"""`flask backup host gate …`: keys that do one thing each on a host, through a gate there."""

from __future__ import annotations

import json
import sys

import click

from core.hosts import gate_keys, hosts
from core.models import GateKey
from webapp.commands.group import Group
from webapp.commands.output import table
from webapp.hosts.host_gates import title

gate = Group("gate", help="Keys for one thing each on a host: restores into a folder, dumps of a database.")


@gate.command("add")
@click.argument("name")
@click.option("--restore", "root", metavar="DIR", help="For restores into this folder of the host.")
@click.option("--dump", "database", metavar="DATABASE", help="For dumps of this PostgreSQL database.")
@click.option("--port", default=5432, show_default=True, help="The port of the database's server.")
def add(name: str, root: str | None, database: str | None, port: int) -> None:
    """Make a key, and print the lines that let it in, for a shell of root on the host."""
    host_id = hosts.find(name).id
    if (root is None) == (database is None):
        raise click.UsageError("Give either --restore or --dump.")
    if root is not None:
        key = gate_keys.make_for_restores(host_id, root)
    else:
        key = gate_keys.make_for_dumps(host_id, str(database), port)
    way = gate_keys.way(key)
    click.echo(f"# As root on {name}, for {title(key)}.\n# Allows: {way.allows}\n# Forbids: {way.forbids}")
    click.echo(way.lines)


@gate.command("list")
@click.argument("name")
@click.option("--test", "tested", is_flag=True, help="Try each gate first. Nothing is written there.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
def list_all(name: str, tested: bool, as_json: bool) -> None:
    """List the keys of a host; exit code 1 if one of them cannot be used."""
    host_id = hosts.find(name).id
    if tested:
        gate_keys.test_all(host_id)
    found = gate_keys.of_host(host_id)
    if as_json:
        click.echo(json.dumps({"keys": [_document(key) for key in found]}, indent=2))
    elif not found:
        click.echo(f"There are none: flask backup host gate add {name!r} --restore /srv/restored")
    else:
        table(("ID", "FOR", "STATE"), [(key.id, title(key), _state(key)) for key in found])
    sys.exit(1 if any(key.trouble for key in found) else 0)


@gate.command("remove")
@click.argument("name")
@click.argument("key_id", metavar="ID")
def remove(name: str, key_id: str) -> None:
    """Forget a key, and print what takes its gate out on the host."""
    host_id = hosts.find(name).id
    way = gate_keys.way(gate_keys.get(host_id, key_id))
    gate_keys.delete(host_id, key_id)
    click.echo(f"Forgotten. As root on {name}: {way.remove}")


def _state(key: GateKey) -> str:
    if key.tested_at is None:
        return "not tested"
    return key.trouble or "works"


def _document(key: GateKey) -> dict[str, object]:
    return {
        "id": key.id, "mode": key.mode, "place": key.place, "tested": key.tested_at is not None,
        "trouble": key.trouble, "line": gate_keys.way(key).key_line,
    }  # fmt: skip
