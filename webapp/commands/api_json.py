"""Commands that take and print the JSON of the API: the same names, checks and sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click
from pydantic_core import to_jsonable_python

from core.errors import HoldfastError, Invalid
from webapp.api import names

FILE = click.argument("file", type=click.File(), metavar="FILE|-")


def read(file: TextIO) -> dict[str, Any]:
    """Return the object that a file holds, with names as Python has them. Raises UsageError, Invalid."""
    try:
        found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file.name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{file.name} holds no JSON object.")
    clean: dict[str, Any] = names.snakify(found)
    return clean


def show(document: Any) -> None:
    """Print a document as the API gives it."""
    click.echo(json.dumps(names.camelize(to_jsonable_python(document)), indent=2, ensure_ascii=False))


@contextmanager
def fields_told() -> Iterator[None]:
    """Say what is wrong with which field, as clients call it; then end the command."""
    try:
        yield
    except Invalid as error:
        for field, reason in error.fields.items():
            click.echo(f"{names.to_camel(field)}: {reason}", err=True)
        raise HoldfastError("Nothing was changed.") from error
