"""`flask backup find`, `versions`, `diff` and `catalog`: what points hold, on a terminal."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import Any

import click

from core import words
from core.configs import configs
from core.models import Config
from core.points import catalog, catalog_drop, catalog_file, catalog_fill, file_search, file_versions
from core.points.file_search import Found
from core.points.file_versions import Version
from webapp.commands import output
from webapp.commands.find import find_config
from webapp.commands.group import Group

_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
_CONFIG = click.option("config_name", "--config", metavar="NAME", help="Only this config (name or id).")


@click.command("find")
@click.argument("name")
@_CONFIG
@_JSON
def find(name: str, config_name: str | None, as_json: bool) -> None:
    """Say in which points a file is: NAME is a part of its name, or a pattern such as *.conf, maybe with
    folders before it. Exit code 1: nothing is called that; 3: too much may be to say so."""
    config = find_config(config_name) if config_name else None
    answer = file_search.search(name, config.id if config else None)
    names = {one.id: one for one in configs.names()}
    if as_json:
        rows = [_found(row, names) for row in answer.found]
        click.echo(json.dumps({"found": rows, "more": answer.more, "partial": answer.partial}, indent=2))
    elif answer.found:
        rows_ = [
            (
                row.shown, _name(names.get(row.config_id or "")), _size(row.size), f"{row.points:,}",
                f"{row.versions:,}", str(row.newest.id), _when(row.newest.taken_at),
            )
            for row in answer.found
        ]  # fmt: skip
        output.table(("PATH", "CONFIG", "SIZE", "POINTS", "VERSIONS", "NEWEST", "TAKEN"), rows_)
    if answer.nothing_said:
        click.echo(f"{file_search.NOTHING_SAID} Write more of the name, or its folder.", err=True)
    elif answer.more:
        click.echo("There is, or may be, more: write more of the name, or its folder.", err=True)
    _tell_lacking(config)
    sys.exit(0 if answer.found else 3 if answer.nothing_said else 1)


@click.command("versions")
@click.argument("path")
@_CONFIG
@_JSON
def versions(path: str, config_name: str | None, as_json: bool) -> None:
    """List the versions of the file at PATH in the points of a config, newest first."""
    config = _only_config(config_name)
    history = file_versions.history(config.id, _path(path))
    if as_json:
        rows = [_version(each) for each in history.versions]
        shown = {"path": history.shown, "points": history.points, "absent": history.absent}
        click.echo(json.dumps({**shown, "versions": rows}, indent=2))
    else:
        rows_ = [
            (
                str(each.newest.id), _when(each.newest.taken_at), str(each.oldest.id),
                _size(each.size), _when(each.mtime), f"{each.points:,}",
            )
            for each in history.versions
        ]  # fmt: skip
        output.table(("NEWEST", "TAKEN", "OLDEST", "SIZE", "CHANGED", "POINTS"), rows_)
        click.echo(f"It is in {history.points - history.absent:,} of {history.points:,} points.", err=True)
    _tell_lacking(config)
    sys.exit(0 if history.versions else 1)


catalog_group = Group("catalog", help="What `find` and `versions` know: the folders of all points.")


@catalog_group.command("status")
@_JSON
def status(as_json: bool) -> None:
    """Say how many points are catalogued; 3: not all."""
    coverage, size = catalog.coverage(), catalog_file.size_bytes()
    if as_json:
        known = {"points": coverage.points, "catalogued": coverage.catalogued}
        click.echo(json.dumps({**known, "trouble": coverage.trouble, "bytes": size}, indent=2))
    else:
        click.echo(
            f"{coverage.catalogued:,} of {coverage.points:,} points are catalogued, {words.size(size)}."
        )
        if coverage.trouble:
            click.echo(f"The last attempt: {coverage.trouble}")
    sys.exit(3 if coverage.lacking else 0)


@catalog_group.command("fill")
def fill() -> None:
    """Add the points that lack; 1: some cannot be read."""
    _fill()


@catalog_group.command("rebuild")
def rebuild() -> None:
    """Begin the catalog anew and read the trees of all points again; backups go on meanwhile."""
    with catalog_file.dropping(wait=True):
        catalog_file.delete()
    _fill()


COMMANDS = (find, versions, catalog_group)


def _fill() -> None:
    shows = sys.stderr.isatty()

    def told(done: int, total: int) -> None:
        if shows:
            click.echo(f"\r{done:,} of {total:,} points", nl=False, err=True)

    result = catalog_fill.fill_all(told=told)
    if shows:
        click.echo(err=True)
    catalog_drop.sweep()
    for point_id, why in result.unreadable.items():
        click.echo(f"Point {point_id} is not catalogued: {words.ended(why)}", err=True)
    click.echo(f"{words.count(result.points, 'point')} added, {catalog.coverage().lacking:,} lacking.")
    sys.exit(1 if result.unreadable else 0)


def _found(row: Found, names: dict[str, Config]) -> dict[str, Any]:
    return {
        "path": row.shown, "kind": row.kind, "config": _name(names.get(row.config_id or "")),
        "size_bytes": row.size, "points": row.points, "versions": row.versions, "newest_point": row.newest.id,
        "newest_at": _iso(row.newest.taken_at), "oldest_point": row.oldest.id,
        "oldest_at": _iso(row.oldest.taken_at),
    }  # fmt: skip


def _version(each: Version) -> dict[str, Any]:
    return {
        "kind": each.kind, "size_bytes": each.size, "changed_at": _iso(each.mtime), "points": each.points,
        "newest_point": each.newest.id, "newest_at": _iso(each.newest.taken_at),
        "oldest_point": each.oldest.id, "oldest_at": _iso(each.oldest.taken_at),
    }  # fmt: skip


def _only_config(wanted: str | None) -> Config:
    if wanted:
        return find_config(wanted)
    every = configs.list_all()
    if len(every) != 1:
        named = ", ".join(one.name for one in every) or "none"
        raise click.UsageError(f"Say of which config with --config. There are: {named}.")
    return every[0]


def _tell_lacking(config: Config | None) -> None:
    coverage = catalog.coverage(config.id if config else None)
    if coverage.lacking:
        click.echo(
            f"{words.count(coverage.lacking, 'point')} of {coverage.points:,} not in the catalog yet, so not "
            "searched: flask backup catalog fill.",
            err=True,
        )


def _path(text: str) -> bytes:
    return os.fsencode(os.path.normpath("/" + text.lstrip("/")))


def _name(config: Config | None) -> str:
    return config.name if config else "no config"


def _size(size: int | None) -> str:
    return "" if size is None else words.size(size)


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
