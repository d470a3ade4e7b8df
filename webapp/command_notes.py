"""The audit log of commands: what was run, by which user of the machine, with what result."""

from __future__ import annotations

import re

import click
from flask import has_app_context

from core import audit
from core.audit import Deed, Result

# A command whose last word is one of these changes nothing, and reads no backed-up data.
SHOWS = frozenset({"status", "points", "list", "show", "verify", "export", "doctor"})
_SECRET = re.compile(r"password|secret|token|key|url", re.IGNORECASE)


def note(ctx: click.Context, result: Result, who: str) -> None:
    """Add an entry for a command that somebody ran, if it got as far as the database."""
    # "flask backup audit export": without the program, and without options.
    words = ctx.command_path.split()[1:]
    if not has_app_context() or not words or (words[-1] in SHOWS and words[0] != "export"):
        return
    audit.record(
        Deed(
            actor=f"{who} on the server",
            door="command",
            action=" ".join(words),
            result=result,
            target=_target(ctx),
        )
    )


def _target(ctx: click.Context) -> str:
    """Return what was asked for: values that were typed, but for those that may be secrets, and files."""
    said = []
    for name in (str(each.name) for each in ctx.command.params):
        value = ctx.params.get(name)
        if value in (None, False, (), "") or _SECRET.search(name):
            continue
        if isinstance(value, str | int | tuple) and _was_typed(ctx, name):
            said.append(f"{name} {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return ", ".join(said)


def _was_typed(ctx: click.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT
