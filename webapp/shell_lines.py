"""Commands as they are pasted into a shell on the server: whole, whatever folder it stands in."""

from __future__ import annotations

import os
import shlex
import sys

from flask import Flask

from core import app_state
from core.settings import PROJECT_DIR


def on_server(command: str) -> str:
    """Return lines of `flask …` so that each works by itself, for this install."""
    return "\n".join(_start() + line.removeprefix("flask ") for line in command.splitlines())


def _start() -> str:
    data_dir = app_state.settings().data_dir
    # The one part of the environment without which a command would speak to another install.
    where = (
        "" if data_dir == os.path.join(PROJECT_DIR, "data") else f"HOLDFAST_DATA_DIR={shlex.quote(data_dir)} "
    )
    return f"cd {shlex.quote(PROJECT_DIR)} && {where}{shlex.quote(_program())} "


def _program() -> str:
    """Return `flask` of the environment that this process runs in, short where it is the project's own."""
    path = os.path.join(os.path.dirname(sys.executable), "flask")
    return os.path.relpath(path, PROJECT_DIR) if path.startswith(PROJECT_DIR + os.sep) else path


def register(app: Flask) -> None:
    """Give the templates this filter."""
    app.add_template_filter(on_server)
