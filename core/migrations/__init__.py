"""The schema, step by step. Alembic is imported only where there is a step to take: it is slow to."""

from __future__ import annotations

import os

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection


class DatabaseTooNew(Exception):
    """The database was written by a newer version of the program; nothing was changed."""


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest step, in one transaction. Raises DatabaseTooNew."""
    if current(connection) == newest():
        return
    from core.migrations import steps

    begin_as_writer(connection)
    steps.upgrade(connection)


def begin_as_writer(connection: Connection) -> None:
    """Begin anew as the only writer: one that comes between our first look and our first change would make
    SQLite refuse that change, at once and however long it may wait."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def newest() -> str:
    """Return the newest step there is: the files of the steps begin with their numbers."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "versions")
    return max(name for name in os.listdir(folder) if name[:4].isdigit()).partition("_")[0]


def current(connection: Connection) -> str | None:
    """Return the step that the database is at; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
