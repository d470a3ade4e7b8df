"""The database: one declarative base, aware UTC times, SQLite set up to be shared by many processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Dialect, MetaData, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

BUSY_TIMEOUT_S = 30

_NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The parent of all rows; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=_NAMING)


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"expire_on_commit": True})


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as UTC; a naive one is a programming error and raises ValueError."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware time into naive UTC for the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn the database's naive UTC into an aware time."""
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """Return the present as aware UTC."""
    return datetime.now(UTC)


@contextmanager
def write() -> Iterator[Session]:
    """Run a short writing transaction: committed at the end, rolled back on any error.

    Reads inside see the newest rows and nobody else writes meanwhile (SQLite: BEGIN IMMEDIATE), so a
    read-then-write inside it is safe. Anything the session had read before is read anew. Do not nest.
    """
    session = db.session()
    session.rollback()
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.execute(text("ROLLBACK"))
        connection.execute(text("BEGIN IMMEDIATE"))
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise


@event.listens_for(Engine, "connect")
def _set_up_sqlite(connection: Any, record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None  # we emit BEGIN ourselves, below and in write()
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Any) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")
