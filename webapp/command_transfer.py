"""`flask backup export` and `import`: everything but secrets as YAML."""

from __future__ import annotations

from typing import Any, TextIO

import click
import yaml
from flask.cli import with_appcontext

from core.configs import transfer
from core.configs.transfer import Step
from core.errors import Invalid, Refused
from webapp.command_group import prepare

MOST_BYTES = 4 * 1024 * 1024


@click.command("export")
@click.option("--to", "target", type=click.File("w"), default="-", metavar="FILE|-", show_default=True)
@with_appcontext
def export(target: TextIO) -> None:
    """Write configs, storages, hosts and channels as YAML, without any secret."""
    target.write("# Made by `flask backup export`. No secret is in it: keep the recovery key elsewhere.\n")
    yaml.safe_dump(transfer.document(), target, sort_keys=False, allow_unicode=True, width=120)


@click.command("import")
@click.argument("file", type=click.File(), metavar="FILE|-")
@click.option("--dry-run", is_flag=True, help="Only check it, and say what would be done.")
@with_appcontext
def import_(file: TextIO, dry_run: bool) -> None:
    """Make what an export holds and is not here yet; what is here stays as it is.

    All of it is checked before anything is made.
    """
    prepare()
    try:
        plan = transfer.plan(_read(file))
    except Invalid as error:
        for field, reason in error.fields.items():
            click.echo(f"{field}: {reason}", err=True)
        raise Refused("Nothing was made.") from error
    if not dry_run:
        transfer.apply(plan)
    for step in plan.steps:
        click.echo(_said(step, dry_run=dry_run))


def _said(step: Step, *, dry_run: bool) -> str:
    verb = {"make": "would be made" if dry_run else "made", "there": "there already", "left": "left out"}
    return f"{step.noun} {step.name}: {verb[step.what]}{f'; {step.why}' if step.why else ''}"


def _read(file: TextIO) -> Any:
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise Refused("This file is too large to be an export.")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Refused(f"{file.name} is no YAML: {' '.join(str(error).split())}") from error
