"""An empty database with all its tables, to copy: each test that took every step of the schema took long."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine

import core.db  # noqa: F401  (it says how connections to SQLite begin)
from core import migrations
from core.settings import Settings


def lay_database(settings: Settings) -> None:
    """Put one where `app_state.prepare` will look for it, in a data folder that is not there yet."""
    os.makedirs(settings.data_dir, mode=0o700)
    Path(settings.data_dir, "holdfast.db").write_bytes(_with_all_steps())


@cache
def _with_all_steps() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "holdfast.db")
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection, connection.begin():
            migrations.upgrade(connection)
        engine.dispose()
        return path.read_bytes()
