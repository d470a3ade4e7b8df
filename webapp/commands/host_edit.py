"""`flask backup host show | set | delete`: change hosts with the JSON of the API."""

from __future__ import annotations

from typing import TextIO

import click

from core.hosts import host_inputs, hosts
from webapp.api import hosts as shape
from webapp.commands import api_json as json
from webapp.commands.group import Group


def register(host: Group) -> None:
    """Add these commands."""

    @host.command("show")
    @click.argument("name")
    def show(name: str) -> None:
        """Print a host as JSON, as `set` and the API take it. What logs in is not in it."""
        json.show(shape.shown(hosts.find(name), full=True))

    @host.command("set")
    @json.FILE
    def put(file: TextIO) -> None:
        """Change the host whose name a JSON file has; what it does not name stays, and so does what logs in.

        To give it another name, name it by its id.
        """
        with json.fields_told():
            data = json.read(file)
            known = hosts.get(data["id"]) if data.get("id") else hosts.find(str(data.get("name", "")))
            before = host_inputs.to_form(known)
            hosts.update(known.id, host_inputs.parse({**before, **shape.decided(data)}))
        click.echo("Changed.")

    @host.command("delete")
    @click.argument("name")
    def delete(name: str) -> None:
        """Forget a host; its points stay. Refused while a config or another host needs it."""
        hosts.delete(hosts.find(name).id)
        click.echo(f"Deleted {name}.")
