"""`flask backup compare` and `flask backup environment`: a point held against this machine, on a terminal."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import click

from core.configs import config_compare, config_documents
from core.configs.config_compare import Comparison, Difference
from core.models import Point
from core.points import points
from core.points.tokens import printable
from core.text_diff import BEYOND

_DIFFERS = 3
_WORDS = {
    "changed": "changed",
    "gone": "not there now",
    "attributes": "other attributes",
    "other": "something else there",
    "unreadable": "cannot be read",
}
_REVEAL = click.option("--reveal", is_flag=True, help="Show what looks like a secret; that is noted.")
_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")


@click.command("compare")
@click.argument("point")
@click.argument("path", required=False)
@_REVEAL
@_JSON
def compare(point: str, path: str | None, reveal: bool, as_json: bool) -> None:
    """Say which files of POINT differ from this machine's, or how one at PATH does; 3: something differs."""
    found = points.find(point)
    wanted = os.fsencode(os.path.normpath("/" + (path or "").lstrip("/")))
    if path and config_compare.is_file(found, wanted):
        _diff(found, wanted, reveal=reveal, as_json=as_json)
        return
    result = config_compare.compare(found, wanted)
    if as_json:
        click.echo(json.dumps(_document(result), indent=2))
    else:
        _list(result)
    sys.exit(_DIFFERS if result.differences or not result.complete else 0)


@click.command("environment")
@click.argument("point")
@_REVEAL
def environment(point: str, reveal: bool) -> None:
    """Print the document of the environment that POINT holds, as JSON; secrets are masked."""
    found = points.find(point)
    document = config_documents.document_of(found, reveal=reveal)
    if reveal:
        config_documents.note_reveal("the command line", found, config_documents.PATH)
    click.echo(json.dumps(document, indent=1, sort_keys=True))


def _diff(found: Point, path: bytes, *, reveal: bool, as_json: bool) -> None:
    if reveal:
        config_documents.note_reveal("the command line", found, path)
    diff = config_compare.diff(found, path, reveal=reveal)
    if as_json:
        lines = [line._asdict() for line in diff.lines]
        click.echo(
            json.dumps({"path": diff.name, "note": diff.note, "lines": lines, "more": diff.more}, indent=2)
        )
    else:
        click.echo(f"--- {diff.name} as it is now\n+++ {diff.name} as it was in point {found.id}")
        for sign, text in diff.lines:
            click.echo(f"@@ {text} @@" if sign == "@" else f"{sign}{text}")
        if diff.note:
            click.echo(diff.note)
        if diff.more:
            click.echo("There is more than is shown here.", err=True)
        if diff.hidden:
            click.echo("What looks like a secret is masked: --reveal shows it.", err=True)
    sys.exit(_DIFFERS if diff.lines or diff.note == BEYOND else 0)


def _list(result: Comparison) -> None:
    for each in result.differences:
        note = f" ({each.note})" if each.note else ""
        click.echo(f"{_WORDS[each.verdict]:>20}  {each.name}{note}")
    click.echo(f"{len(result.differences):,} differ, {result.same:,} are as they were.", err=True)
    if not result.complete:
        click.echo("Not all was looked at: it took too long. Name a folder as well.", err=True)


def _document(result: Comparison) -> dict[str, object]:
    return {
        "folder": printable(result.folder),
        "differences": [_row(each) for each in result.differences],
        "same": result.same,
        "complete": result.complete,
    }


def _row(each: Difference) -> dict[str, object]:
    return {name: value for name, value in asdict(each).items() if name not in ("path", "token")}
