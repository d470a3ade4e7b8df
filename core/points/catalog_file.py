"""The file of the catalog: what the folders of points hold, by tree id, for search and versions of a file.

An SQLite file beside the database, whichever that is: a million rows that follow a backup keep nobody waiting
who writes about a job. It is a cache: all of it can be read again from the repositories, so a file of another
version, or a damaged one, is begun anew and never mended.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from core import app_state
from core.errors import HoldfastError

NAME = "catalog.db"
_LOCK = "catalog.lock"
_VERSION = 1
_BUSY_S = 30.0

# state of a tree: NAMED by a folder that holds it, FILLED with its own entries, WHOLE with all below it.
NAMED, FILLED, WHOLE = range(3)
FILE, FOLDER, LINK, OTHER = range(4)  # kind of an entry

_TABLES = (
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, folded TEXT NOT NULL)",
    "CREATE TABLE trees (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, state INTEGER NOT NULL)",
    # content: of files and links, what tells two of them apart; size and mtime (s) as the snapshot has them
    "CREATE TABLE entries (tree_id INTEGER NOT NULL, name_id INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " size INTEGER NOT NULL, mtime INTEGER, content BLOB, subtree_id INTEGER,"
    " PRIMARY KEY (tree_id, name_id)) WITHOUT ROWID",
    "CREATE INDEX entries_by_name ON entries (name_id)",
    "CREATE INDEX entries_by_subtree ON entries (subtree_id) WHERE subtree_id IS NOT NULL",
    # A point stands here once its tree is whole, and not before.
    "CREATE TABLE roots (point_id INTEGER PRIMARY KEY, tree_id INTEGER NOT NULL)",
    "CREATE INDEX roots_by_tree ON roots (tree_id)",
    # Found by any three letters; the pattern itself is held against the names.
    "CREATE VIRTUAL TABLE letters USING fts5 (folded, content='names', content_rowid='id', detail='none',"
    " tokenize='trigram')",
)


class CatalogUnusable(HoldfastError):
    """The catalog cannot be read or written now. Backups and restores do not need it."""


@contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """Open the catalog, made now if it is not there; nothing is begun on it. Raises CatalogUnusable."""
    try:
        connection = _connect()
    except (OSError, sqlite3.Error) as error:
        raise _unusable(error) from error
    try:
        yield connection
    except sqlite3.Error as error:
        raise _unusable(error) from error
    finally:
        connection.close()


@contextmanager
def reading() -> Iterator[sqlite3.Connection]:
    """Open the catalog as it is at the first look, whatever is written meanwhile: ids that are dropped are
    given anew. Raises CatalogUnusable."""
    with opened() as connection:
        connection.execute("BEGIN")  # ends when the connection is closed
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write: all of it or nothing. Others wait meanwhile, so it should be short."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def filling() -> Iterator[None]:
    """Keep everybody from dropping trees while some are added: what is there already counts as there."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def dropping(*, wait: bool = False) -> Iterator[bool]:
    """Be the only one that changes the catalog; False if somebody is at it now and is not waited for."""
    try:
        with _locked(fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)):
            yield True
    except BlockingIOError:
        yield False


def delete() -> None:
    """Begin anew. The caller is in `dropping`."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(_path() + ending)


def size_bytes() -> int:
    """Return how large the file is."""
    try:
        return os.stat(_path()).st_size
    except FileNotFoundError:
        return 0


def _path() -> str:
    return os.path.join(app_state.settings().data_dir, NAME)


def _connect() -> sqlite3.Connection:
    # Names of files are nobody's business: SQLite gives its other files the mode of this one.
    os.close(os.open(_path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(_path(), timeout=_BUSY_S, isolation_level=None)
    try:
        if _version(connection) != _VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            _make_tables(connection)
        # What was last added may be lost with the power, never a part of it: it is added again then.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def _make_tables(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        if _version(connection) == _VERSION:
            return  # another process was faster
        for table in ("letters", "names", "trees", "entries", "roots"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _locked(how: int) -> Iterator[None]:
    """Hold the lock of the catalog; the kernel frees it with the process.

    Raises BlockingIOError, CatalogUnusable.
    """
    path = os.path.join(app_state.settings().data_dir, _LOCK)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(error) from error
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _unusable(error: Exception) -> CatalogUnusable:
    return CatalogUnusable(
        f"The catalog of files cannot be used: {error}.",
        "Make room if the disk of the data folder is full; else begin it anew: flask backup catalog rebuild. "
        "Backups and restores do not need it.",
    )
