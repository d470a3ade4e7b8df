"""`flask backup preview …`: what a backup would read, what a rule would remove. Nothing is changed."""

from __future__ import annotations

import click

from core.configs import configs
from core.retention import retention
from core.retention.retention_rules import RetentionRule, rule_from
from webapp.api import previews
from webapp.commands import api_json as json
from webapp.commands.configs import find
from webapp.commands.group import Group

group = Group("preview", help="Say what a backup would read, or what a clean-up would remove.")

_WANTED = click.argument("wanted", metavar="CONFIG")


@group.command("source")
@_WANTED
def source(wanted: str) -> None:
    """Print as JSON what a backup of a config would read, and what its rules leave out."""
    row = find(wanted)
    json.show(previews.shown(configs.preview(configs.to_input(row), config_id=row.id)))


@group.command("retention")
@_WANTED
@click.option("--days", type=click.IntRange(1), help="As if it kept so many days …")
@click.option("--max-backups", type=click.IntRange(1), help="… and at most so many points.")
def rule(wanted: str, days: int | None, max_backups: int | None) -> None:
    """Say which points of a config a clean-up would remove, and why each stays or goes."""
    row = find(wanted)
    tried = rule_from(RetentionRule(days=days, max_backups=max_backups)) if days or max_backups else None
    for destination in row.destinations:
        found = retention.preview(row, tried, destination)
        click.echo(f"{destination.repository.storage.name}: {found.kept} kept, {found.removed} removed")
        for each in found.decisions:
            verb = "keeps" if each.keep else "removes"
            click.echo(
                f"  {verb} point {each.point.id} of {each.point.taken_at:%Y-%m-%d %H:%M} UTC: {each.reason}"
            )
