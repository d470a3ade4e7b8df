"""`flask backup host self-test|map`: what survives a backup of a host, and what is in no backup."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from flask.cli import with_appcontext

from core import words
from core.hosts import here_map, host_map, host_self_test, hosts
from webapp.commands.output import table

_MARKS = {"kept": "ok", "lost": "LOST", "untried": "not tried"}
_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")


@click.command("self-test")
@click.argument("name")
@click.option("--in", "above", default="", metavar="DIR", help="Where on the host: /var/tmp if not given.")
@_JSON
@with_appcontext
def self_test(name: str, above: str, as_json: bool) -> None:
    """Back a nasty little tree on the host up, restore it there, and say what did not survive.

    It is made in a new folder there, which is removed afterwards. Exit code 0: everything that could be tried
    survives; 3: something does not; 1: the test could not be made.
    """
    result = host_self_test.run(hosts.find(name).id, above)
    if as_json:
        click.echo(json.dumps({"ok": result.ok, **asdict(result)}, indent=2))
    else:
        _print(result)
    sys.exit(1 if result.trouble or not result.findings else 3 if result.lost else 0)


@click.command("map")
@click.argument("name", required=False)
@click.option("--all", "show_all", is_flag=True, help="Also what is backed up, or left out on purpose.")
@_JSON
@with_appcontext
def blind_spots(name: str | None, show_all: bool, as_json: bool) -> None:
    """Look around on a host, or on this machine, for what no config backs up. Writes nothing there."""
    found = host_map.look(hosts.find(name).id) if name else here_map.look()
    shown = found.spots if show_all else found.of("none", "partly")
    if as_json:
        click.echo(json.dumps({"spots": [asdict(spot) for spot in shown], "cut": found.cut}, indent=2))
        return
    if found.limits:
        click.echo(found.limits, err=True)
    if not shown:
        click.echo("Everything that was found is backed up, or left out on purpose.")
        return
    rows = [
        (
            words.size(spot.size_bytes) if spot.size_bytes is not None else "?",
            spot.path,
            spot.what,
            _cover(spot),
        )
        for spot in shown
    ]
    table(("AT LEAST", "PLACE", "WHAT", "IN A BACKUP"), rows)


COMMANDS = (self_test, blind_spots)


def _print(result: host_self_test.Result) -> None:
    for finding in result.findings:
        click.echo(f"{_MARKS[finding.state]:9}  {finding.title}{': ' if finding.text else ''}{finding.text}")
    for text in (result.trouble, result.trouble and result.advice, result.leftover):
        if text:
            click.echo(text)
    if result.findings:
        kept, lost = len(result.kept), len(result.lost)
        click.echo(f"{kept} of {kept + lost} kinds survive; it took {result.seconds} s.")


def _amount(spot: host_map.Spot) -> str:
    return words.size(spot.size_bytes) if spot.size_bytes is not None else "?"


def _cover(spot: host_map.Spot) -> str:
    names = f": {', '.join(spot.covered_by)}" if spot.covered_by else ""
    told = {"none": "no", "partly": "partly", "whole": "yes", "left out": "no, on purpose"}
    return told[spot.cover] + names + (f"; paused: {', '.join(spot.paused)}" if spot.paused else "")
