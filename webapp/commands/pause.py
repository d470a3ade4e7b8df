"""`flask backup pause | resume`: nothing begins by itself for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from core import app_state, spans
from core.db import utc_now
from core.errors import Invalid
from core.schedules import pause
from webapp.commands.group import Group, person


def register(backup: Group) -> None:
    """Add these commands."""

    @backup.command("pause")
    @click.option(
        "--until", default="", metavar="TIME", help="As '2026-11-24 08:00'; else until it is resumed."
    )
    @click.option("--for", "span", default="", metavar="SPAN", help="As 4h or 1d 12h, from now.")
    @click.option("--note", default="", help="Why.")
    def pause_all(until: str, span: str, note: str) -> None:
        """Let no backup, copy or clean-up begin by itself; what a person starts runs."""
        if until and span:
            raise click.UsageError("Give either --until or --for.")
        zone = app_state.settings().timezone
        held = pause.begin(_after(span) if span else pause.parse_until(until, zone), person(), note)
        click.echo(f"All is paused {held.words(zone)}.")

    @backup.command("resume")
    def resume() -> None:
        """Let all run again; what fell into the pause is made up for once."""
        click.echo("All runs again." if pause.end() else "Nothing was paused.")


def _after(span: str) -> datetime:
    try:
        return utc_now() + timedelta(seconds=spans.parse(span))
    except ValueError as error:
        raise Invalid({"for": f"For how long: {error}."}) from error
