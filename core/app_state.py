"""Prepare this process: data folder, database schema, master key. Every door calls `prepare` first."""

from __future__ import annotations

import fcntl
import os
import secrets as random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import create_engine, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core import migrations, secrets
from core.db import utc_now
from core.models import InstanceValue
from core.settings import Settings, SettingsError

MASTER_KEY_FILE = "master.key"
NODE_ID_FILE = "node-id"


class _State:
    settings: Settings | None = None


_state = _State()


def prepare(settings: Settings) -> None:
    """Make the data folder, migrate the database, load or make the master key; then remember the settings.

    Safe to call from any number of processes at once, and again. Raises SettingsError with one sentence.
    """
    _make_data_dir(settings.data_dir)
    _state.settings = settings
    try:
        with lock("prepare"):
            _read_or_make(NODE_ID_FILE, lambda: random.token_hex(16))
            _prepare_database(settings)
    except OSError as error:
        raise SettingsError(
            f"The data folder {settings.data_dir} cannot be used: {error.strerror or error}. "
            "Mend that, or set HOLDFAST_DATA_DIR to another folder."
        ) from error


def settings() -> Settings:
    """Return the settings that `prepare` was called with."""
    if _state.settings is None:
        raise RuntimeError("core.app_state.prepare comes first")
    return _state.settings


def node_id() -> str:
    """Return the id of this machine's install, the same in all its processes and after a restart."""
    return _read_or_make(NODE_ID_FILE, lambda: random.token_hex(16))


def boot_id() -> str:
    """Return what names this boot of the machine; process ids mean nothing beyond it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the file lock `name` of the data folder; wait for it. Freed by the kernel if the process dies."""
    path = os.path.join(settings().data_dir, f"{name}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Not by closing alone: a child forked meanwhile has the file open, too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _make_data_dir(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        os.chmod(path, 0o700)
    except OSError as error:
        raise SettingsError(
            f"The data folder {path} cannot be made or made private: {error.strerror}. "
            "Set HOLDFAST_DATA_DIR to a folder that this user may write to."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError(
            f"The data folder {path} is not writable by this user. "
            "Set HOLDFAST_DATA_DIR to a folder that is, or change its owner."
        )


def _prepare_database(settings: Settings) -> None:
    try:
        engine = create_engine(settings.database_url)
        with _closing(engine), engine.connect() as connection:
            with connection.begin():
                migrations.upgrade(connection)
            with connection.begin():
                _prepare_master_key(connection, settings)
        _make_private(engine)
    except migrations.DatabaseTooNew as error:
        raise SettingsError(
            f"The database cannot be used: {error}. Start the newer version of Holdfast again, or restore "
            "the data folder from before its update."
        ) from error
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__)
        raise SettingsError(f"The database (DATABASE_URL) cannot be opened: {reason}.") from error


@contextmanager
def _closing(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


def _make_private(engine: Engine) -> None:
    """Take the database's files from everybody else, wherever DATABASE_URL has put them."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.chmod(engine.url.database + ending, 0o600)


def _prepare_master_key(connection: Connection, settings: Settings) -> None:
    """Load the master key and hold it against the one this database was sealed with."""
    known = _value(connection, "master_key_id")
    if known is None:
        migrations.begin_as_writer(connection)
    key_id = secrets.use_master_key(settings.secret_key or _key_from_file(settings, known))
    if known is None:
        _insert(connection, "master_key_id", key_id)
        _insert(connection, "instance_id", random.token_hex(8))
    elif known != key_id:
        where = "HOLDFAST_SECRET_KEY" if settings.secret_key else f"The file {MASTER_KEY_FILE}"
        raise SettingsError(
            f"{where} is not the master key that this database was set up with (key {known}). "
            "Nothing sealed could be opened: put the former key back."
        )


def _key_from_file(settings: Settings, known: str | None) -> str:
    path = os.path.join(settings.data_dir, MASTER_KEY_FILE)
    if known is not None and not os.path.exists(path):
        raise SettingsError(
            f"The master key file {path} is missing, and stored passwords cannot be opened without it. "
            "Put it back from a backup of the data folder, or set HOLDFAST_SECRET_KEY if that was in use."
        )
    return _read_or_make(MASTER_KEY_FILE, lambda: random.token_hex(32))


def _value(connection: Connection, key: str) -> str | None:
    row = connection.execute(select(InstanceValue.value).where(InstanceValue.key == key)).first()
    return None if row is None else str(row[0])


def _insert(connection: Connection, key: str, value: str) -> None:
    table = InstanceValue.__table__
    connection.execute(table.insert().values(key=key, value=value, updated_at=utc_now()))  # type: ignore[attr-defined]


def _read_or_make(name: str, make: Callable[[], str]) -> str:
    """Return the text of a file in the data folder; made whole and private (0600) if it is not there."""
    path = os.path.join(settings().data_dir, name)
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except FileNotFoundError:
        _write_once(path, make())
        return _read_or_make(name, make)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file {path} cannot be read: {error}.") from error
    if not text:
        raise SettingsError(f"The file {path} is empty: put it back from a backup of the data folder.")
    return text


def _write_once(path: str, text: str) -> None:
    """Write a new file, whole and durably. The caller holds the lock, or knows that nobody else writes it."""
    temporary = f"{path}.{random.token_hex(4)}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode() + b"\n")
        os.fsync(descriptor)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
