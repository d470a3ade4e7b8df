"""Paths of points as calls name them: as people write them, or by the token of a listing."""

from __future__ import annotations

import os
from collections.abc import Sequence

from core.errors import Invalid
from core.points import tokens


def one(path: str | None, token: str | None) -> bytes:
    """Return the tree path; the root without either. Raises Invalid."""
    if token is not None:
        if path is not None:
            raise Invalid({"path": "Give a path or a token, not both."})
        return of_token(token, "token")
    return b"/" if path is None else as_written(path, "path")


def many(paths: Sequence[str], include: Sequence[str]) -> list[str]:
    """Return the tokens of paths as people write them, and of tokens. Raises Invalid by field."""
    for number, token in enumerate(include):
        of_token(token, f"include.{number}")
    written = [as_written(path, f"paths.{number}") for number, path in enumerate(paths)]
    return [*include, *map(tokens.token_from_path, written)]


def as_written(path: str, field: str) -> bytes:
    """Return the tree path that somebody wrote. Raises Invalid."""
    if not path.startswith("/") or "\0" in path:
        raise Invalid({field: "Give the whole path, from / on."})
    return os.fsencode(os.path.normpath("/" + path.lstrip("/")))


def of_token(token: str, field: str) -> bytes:
    """Return the tree path of a token. Raises Invalid."""
    try:
        return tokens.path_from_token(token)
    except ValueError as error:
        raise Invalid({field: "This is no token of a path."}) from error
