"""The audit log of commands: what was run, by which user of the machine, with what result."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import click
from flask import has_app_context
from flask.cli import ScriptInfo

from core.access import audit_begun
from core.access.audit import Deed, Result
from core.configs import awaited
from core.errors import HoldfastError

# A command whose last word is one of these changes nothing, and reads no backed-up data.
SHOWS = frozenset({"status", "points", "list", "show", "verify", "export", "doctor", "find", "versions",
                   "log", "ls", "restores", "source", "retention"})  # fmt: skip
SHOWS_WITHOUT_OPTIONS = frozenset({"leftovers", "restore-folders"})
# Exit codes: well, and well with warnings.
_DONE = (None, 0, 3)
_SECRET = re.compile(r"password|secret|token|key|url", re.IGNORECASE)


def noted(callback: Callable[..., Any], who: Callable[[], str]) -> Callable[..., Any]:
    """Return a command's function that also adds an entry once it has ended, however it did.

    It is noted as begun before, so that a kill in the middle leaves a trace.
    """
    if getattr(callback, "noted", False):
        return callback

    @functools.wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        result: Result = "failed"
        ctx = click.get_current_context()
        begun = _begin(ctx, who())
        try:
            answer = callback(*arguments, **options)
            result = "done"
        except (HoldfastError, click.UsageError) as error:
            result = "failed" if isinstance(error, awaited.HalfMade) else "refused"
            raise
        except (SystemExit, click.exceptions.Exit) as end:
            code = end.code if isinstance(end, SystemExit) else end.exit_code
            result = "done" if code in _DONE else "failed"
            raise
        finally:
            if begun is not None:
                audit_begun.end(begun, _deed(ctx, result, who()))
        return answer

    run.noted = True  # type: ignore[attr-defined]
    return run


def _begin(ctx: click.Context, who: str) -> int | None:
    if not _counts(ctx):
        return None
    if not has_app_context():
        ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
    return audit_begun.begin(_deed(ctx, "unknown", who))


def _counts(ctx: click.Context) -> bool:
    words = _words(ctx)
    return bool(words) and words[-1] not in SHOWS and not _only_shows(ctx, words)


def _words(ctx: click.Context) -> list[str]:
    """Return a command without the program, and without options: backup audit export."""
    return ctx.command_path.split()[1:]


def _deed(ctx: click.Context, result: Result, who: str) -> Deed:
    return Deed(f"{who} on the server", "command", " ".join(_words(ctx)), result, _target(ctx))


def _only_shows(ctx: click.Context, words: list[str]) -> bool:
    """Tell whether a command that shows something unless it is told to change it was told nothing."""
    return words[-1] in SHOWS_WITHOUT_OPTIONS and not _target(ctx)


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
