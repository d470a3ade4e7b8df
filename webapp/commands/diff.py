"""`flask backup diff`: what changed from one point to another, on a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from core import words
from core.configs import config_documents
from core.models import Point
from core.points import file_diff
from core.points import point_diff as diffs
from core.points.point_diff import PointDiff
from webapp.commands.find import find_point

_DIFFERS = 3
_SIGNS = {"added": "+", "removed": "-", "changed": "M", "attributes": "U"}


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.argument("path", required=False)
@click.option("--reveal", is_flag=True, help="Show what looks like a secret; that is noted.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
def diff(old: str, new: str, path: str | None, reveal: bool, as_json: bool) -> None:
    """Say what changed from the point OLD to NEW, below PATH or everywhere, or how a file there did; 3:
    something differs."""
    before, after = find_point(old, None), find_point(new, None)
    wanted = os.fsencode(os.path.normpath("/" + (path or "").lstrip("/")))
    if path and _is_file(before, after, wanted):
        _diff_file(before, after, wanted, reveal=reveal, as_json=as_json)
        return
    found = diffs.compare(before, after, wanted)
    if as_json:
        click.echo(json.dumps(_document(found), indent=2))
    else:
        _list(found)
    sys.exit(_DIFFERS if found.sums.total or not found.complete else 0)


def _diff_file(before: Point, after: Point, path: bytes, *, reveal: bool, as_json: bool) -> None:
    if reveal:
        config_documents.note_reveal("the command line", after, path)
    found = file_diff.diff(before, after, path, reveal=reveal)
    if as_json:
        lines = [line._asdict() for line in found.lines]
        click.echo(
            json.dumps({"path": found.name, "note": found.note, "lines": lines, "more": found.more}, indent=2)
        )
    else:
        click.echo(f"--- {found.name} in point {before.id}\n+++ {found.name} in point {after.id}")
        for sign, text in found.lines:
            click.echo(f"@@ {text} @@" if sign == "@" else f"{sign}{text}")
        for said in (found.note, "There is more than is shown here." if found.more else ""):
            if said:
                click.echo(said, err=True)
        if found.hidden:
            click.echo("What looks like a secret is masked: --reveal shows it.", err=True)
    sys.exit(0 if found.note == file_diff.SAME else _DIFFERS)


def _is_file(before: Point, after: Point, path: bytes) -> bool:
    return any(file_diff.size_of(point, path) is not None for point in (before, after))


def _list(found: PointDiff) -> None:
    for each in found.listed:
        note = f" ({each.note})" if each.note else ""
        click.echo(f"{_SIGNS[each.verdict]}  {each.name}{'/' if each.kind == 'dir' else ''}{note}")
    if found.more:
        click.echo(f"… and {found.more:,} more.", err=True)
    sums = found.sums
    click.echo(
        f"{sums.added:,} added, {sums.changed:,} changed, {sums.removed:,} removed, {sums.attributes:,} with "
        f"other attributes; {words.size(sums.bytes_added)} came, {words.size(sums.bytes_removed)} went.",
        err=True,
    )
    if not found.complete:
        click.echo("Not all was looked at: it took too long. Name a folder as well.", err=True)


def _document(found: PointDiff) -> dict[str, Any]:
    sums = found.sums
    return {
        "added": sums.added, "changed": sums.changed, "removed": sums.removed, "attributes": sums.attributes,
        "bytes_added": sums.bytes_added, "bytes_removed": sums.bytes_removed, "complete": found.complete,
        "changes": [
            {
                "path": each.name, "kind": each.kind, "change": each.verdict, "size_before": each.size_before,
                "size_after": each.size_after, "note": each.note,
            }
            for each in found.listed
        ],
        "not_listed": found.more,
    }  # fmt: skip
