"""`flask backup audit …`: who did what, and the proof that nothing in the log was changed."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from core import words
from core.access import audit, audit_begun
from core.models import AuditEntry, BegunDeed
from webapp.access import audit as audit_page
from webapp.commands.group import Group

group = Group("audit", help="Verify, list and export the log of who did what.")


@group.command("verify")
def verify() -> None:
    """Prove that no entry was changed, removed or put in another order; exit code 1 if one was."""
    found = audit.verify()
    if not found.ok:
        click.echo(f"The audit log is broken. {found.problem}", err=True)
        sys.exit(1)
    click.echo(f"The audit log is whole: {words.count(found.entries, 'entry')}. Its end: {found.hash}")


@group.command("list")
@click.option("--actor", default="", metavar="NAME", help="Only what this one did.")
@click.option("--last", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many entries.")
def list_all(actor: str, last: int) -> None:
    """List the newest entries, the oldest of them first; last what is being done now."""
    for entry in reversed(audit.list_page(actor=actor, per_page=last).items):
        click.echo(f"{entry.number}  {_said(entry)}: {entry.result}")
    for row in reversed(audit_begun.going_on()):
        if actor in ("", row.actor):
            click.echo(f"-  {_said(row)}: begun")


def _said(entry: AuditEntry | BegunDeed) -> str:
    place = f" from {entry.address}" if entry.address else ""
    what = f"{entry.action} {entry.target}".strip()
    return f"{entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.actor}{place}: {what}"


@group.command("export")
@click.option("--to", "target", type=click.File("w"), default="-", metavar="FILE|-", show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet, instead of a JSON line an entry.")
def export(target: TextIO, as_csv: bool) -> None:
    """Write the whole log, the oldest entry first."""
    for line in audit_page.csv_lines() if as_csv else audit_page.json_lines():
        target.write(line)
