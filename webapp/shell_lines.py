"""Commands as they are pasted into a shell on the server: whole, whatever folder it stands in."""

from __future__ import annotations

import os
import re
import shlex
import sys

from flask import Flask

from core import app_state
from core.settings import PROJECT_DIR

# Not any line end: a name in quotes may hold one.
_NEXT = re.compile(r"\n(?=(?:flask|python) )")


def on_server(command: str) -> str:
    """Return lines of `flask …` and `python …` so that each works by itself, for this install."""
    return "\n".join(_line(*line.split(" ", 1)) for line in _NEXT.split(command))


def _line(program: str, words: str) -> str:
    where = _data_dir() if program == "flask" else ""  # the engine's own commands know of no install
    return f"cd {shlex.quote(PROJECT_DIR)} && {where}{shlex.quote(_path_of(program))} {words}"


def _data_dir() -> str:
    """Return the one part of the environment without which a command would speak to another install."""
    data_dir = app_state.settings().data_dir
    if data_dir == os.path.join(PROJECT_DIR, "data"):
        return ""
    return f"HOLDFAST_DATA_DIR={shlex.quote(data_dir)} "


def _path_of(program: str) -> str:
    """Return a program of the environment that this process runs in, short where it is the project's own."""
    path = os.path.join(os.path.dirname(sys.executable), program)
    return os.path.relpath(path, PROJECT_DIR) if path.startswith(PROJECT_DIR + os.sep) else path


def register(app: Flask) -> None:
    """Give the templates this filter."""
    app.add_template_filter(on_server)
