"""`flask backup export`, `import` and `awaited`: everything but secrets as YAML."""

from __future__ import annotations

from typing import TextIO

import click
from flask.cli import with_appcontext

from core.configs import awaited, transfer, transfer_text
from core.configs.transfer import Step
from core.errors import Invalid, Refused
from webapp.commands.group import prepare
from webapp.commands.output import table


@click.command("export")
@click.option("--to", "target", type=click.File("w"), default="-", metavar="FILE|-", show_default=True)
@with_appcontext
def export(target: TextIO) -> None:
    """Write configs, storages, hosts and channels as YAML, without any secret."""
    target.write(transfer_text.write(transfer.document()))


@click.command("import")
@click.argument("file", type=click.File(), metavar="FILE|-")
@click.option(
    "--secrets",
    "beside",
    type=click.File(),
    metavar="FILE|-",
    help="Secrets by section and name, such as storages: {NAME: {access_key: …, secret_key: …}}.",
)
@click.option("--dry-run", is_flag=True, help="Only check it, and say what would be done.")
@with_appcontext
def import_(file: TextIO, beside: TextIO | None, dry_run: bool) -> None:
    """Make what an export holds and is not here yet; what is here stays as it is.

    All of it is checked before anything is made. What needs a secret that is not given waits for it: see
    `flask backup awaited`.
    """  # fmt: skip
    prepare()
    try:
        secrets = transfer_text.read(_text(beside), "secrets") if beside else None
        plan = transfer.plan(transfer_text.read(_text(file)), secrets)
    except Invalid as error:
        for field, reason in error.fields.items():
            click.echo(f"{field}: {reason}", err=True)
        raise Refused("Nothing was made.") from error
    if not dry_run:
        awaited.apply(plan)
    for step in plan.steps:
        click.echo(_said(step, dry_run=dry_run))


@click.command("awaited")
@click.option("--drop", type=int, metavar="NUMBER", help="Wait for this one no more.")
@with_appcontext
def list_awaited(drop: int | None) -> None:
    """List what imports could not make yet, and what each waits for; what lacks nothing any more is made."""
    if drop is not None:
        click.echo(f"Dropped {awaited.drop(drop).name}.")
        return
    for step in awaited.follow():
        click.echo(_said(step, dry_run=False))
    found = awaited.list_all()
    if found:
        table(
            ("NUMBER", "WHAT", "NAME", "WAITS, FOR"),
            [(str(row.id), row.noun, row.name, awaited.why(row)) for row in found],
        )
    else:
        click.echo("Nothing of an import waits.")


def _said(step: Step, *, dry_run: bool) -> str:
    verb = {"make": "would be made" if dry_run else "made", "there": "there already", "waits": "waits"}
    place, why = f" ({step.place})" if step.place else "", f"; {step.why}" if step.why else ""
    return f"{step.noun} {step.name}{place}: {verb[step.what]}{why}"


def _text(file: TextIO) -> str:
    return file.read(transfer_text.MOST_BYTES + 1)


COMMANDS = (export, import_, list_awaited)
