"""`flask backup trash | untrash | pin | unpin`: what retention removed and what it must not remove."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from core import words
from core.models import Copy
from core.retention import pins, trash_contents
from webapp.commands import output
from webapp.commands.find import find_config, find_point
from webapp.commands.group import Group, person

_ALL = 1_000_000


def register(backup: Group) -> None:
    """Add these commands."""

    @backup.command("trash")
    @click.option("--config", "config_name", metavar="NAME", help="Only this config (name or id).")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document for scripts.")
    def trash(config_name: str | None, as_json: bool) -> None:
        """List what is in the trash, and until when it is kept there."""
        config_id = find_config(config_name).id if config_name else None
        found = trash_contents.contents(config_id, per_page=_ALL).items
        _print_json(found) if as_json else _print(found)

    @backup.command("untrash")
    @click.argument("point_ids", metavar="POINT...", nargs=-1, required=True, type=int)
    def untrash(point_ids: Sequence[int]) -> None:
        """Take points out of the trash; they are pinned, so that their rule does not put them back."""
        found = trash_contents.take_out_points(set(point_ids), person())
        click.echo(f"{words.count(len(found), 'point')} taken out of the trash and pinned.")

    @backup.command("pin")
    @click.argument("point")
    @click.option("--note", default="", help="Why it is kept.")
    @click.option("--config", "config_name", metavar="NAME", help="Of which config `latest` is.")
    def pin(point: str, note: str, config_name: str | None) -> None:
        """Keep POINT (a number, a snapshot id, or latest) whatever its rule says."""
        found = pins.pin(find_point(point, config_name).id, note, person())
        click.echo(f"Point {found.id} is pinned: no rule removes it.")

    @backup.command("unpin")
    @click.argument("point_id", metavar="POINT", type=int)
    def unpin(point_id: int) -> None:
        """Let the rule decide about a point again."""
        pins.unpin(point_id)
        click.echo(f"The pin of point {point_id} is taken away: its rule decides about it again.")


def _print(found: Sequence[Copy]) -> None:
    if not found:
        click.echo("The trash is empty.")
        return
    output.table(
        ("POINT", "CONFIG", "TAKEN", "STORAGE", "KEPT UNTIL", "WHY"),
        [
            (
                str(copy.point_id), _name(copy), words.moment(copy.point.taken_at, _zone(copy)),
                copy.repository.storage.name, words.moment(trash_contents.goes_at(copy), _zone(copy)),
                copy.trash_reason,
            )
            for copy in found
        ],
    )  # fmt: skip


def _print_json(found: Sequence[Copy]) -> None:
    rows = [
        {
            "point": copy.point_id,
            "config": _name(copy),
            "storage": copy.repository.storage.name,
            "snapshot": copy.snapshot_id,
            "trashed_at": copy.trashed_at.isoformat() if copy.trashed_at else None,
            "kept_until": trash_contents.goes_at(copy).isoformat(),
            "reason": copy.trash_reason,
        }
        for copy in found
    ]
    click.echo(json.dumps({"trash": rows}, indent=2))


def _name(copy: Copy) -> str:
    return copy.point.config.name if copy.point.config else "no config"


def _zone(copy: Copy) -> str:
    return copy.point.config.timezone if copy.point.config else "UTC"
