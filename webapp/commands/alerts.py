"""`flask backup alerts` and `flask backup channels`: what needs a person, and who is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from core.alerting import alerts
from core.errors import HoldfastError
from core.messaging import channels, deliveries, pings
from core.models import Channel
from webapp.commands.output import table

BY = "the command line"


@click.command("alerts")
@click.option("--acknowledge", type=int, metavar="ID", help="Note that somebody has seen this one.")
@click.option("--close", type=int, metavar="ID", help="Close this one; the same trouble opens a new one.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
@with_appcontext
def list_alerts(acknowledge: int | None, close: int | None, as_json: bool) -> None:
    """List the open alerts; exit code 1 if there is one that nobody has acknowledged."""
    if acknowledge is not None:
        alerts.acknowledge_as(acknowledge, BY)
    if close is not None:
        alerts.resolve_by_hand(close)
    found = alerts.list_open()
    if as_json:
        names = ("id", "kind", "severity", "what", "meaning", "advice", "count", "acknowledged_by")
        every = [
            {name: getattr(each, name) for name in names} | {"opened_at": each.opened_at.isoformat()}
            for each in found
        ]
        click.echo(json.dumps({"alerts": every}, indent=2))
    elif found:
        rows = [(str(each.id), each.severity, each.acknowledged_by or "nobody", each.what) for each in found]
        table(("ALERT", "SEVERITY", "SEEN BY", "WHAT"), rows)
    else:
        click.echo("Nothing needs you: no alert is open.")
    sys.exit(1 if alerts.count_open() else 0)


@click.command("channels")
@click.option("--test", "name", metavar="NAME", help="Send a test message to this channel.")
@with_appcontext
def list_channels(name: str | None) -> None:
    """List the channels that alerts are sent to, or test one. They are added on the page of channels."""
    every = channels.list_all()
    if name is not None:
        chosen = next((each for each in every if each.name == name), None)
        if chosen is None:
            raise click.UsageError(f"There is no channel {name!r}. There are: {_names(every)}.")
        click.echo(channels.test(chosen.id))
    elif every:
        table(
            ("CHANNEL", "KIND", "LEADS TO", "STATE"),
            [(each.name, each.kind, each.place, _state(each)) for each in every],
        )
    else:
        click.echo("There is no channel: alerts are only shown on their page and by `flask backup alerts`.")


def tell() -> None:
    """Send what is due, where no worker lives that would. What fails is noted, and tried again later."""
    try:
        deliveries.run()
        pings.run()
    except HoldfastError as error:
        click.echo(str(error), err=True)


def _names(every: Sequence[Channel]) -> str:
    return ", ".join(each.name for each in every) or "none"


def _state(channel: Channel) -> str:
    if not channel.enabled:
        return "off"
    if channel.failing_since:
        return f"fails: {channel.last_error}"
    return "works" if channel.last_sent_at else "not tried yet"


COMMANDS = (list_alerts, list_channels)
