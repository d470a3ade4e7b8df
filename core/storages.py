"""Storages: where bytes go. Each use begins by reading the marker that set-up left in the root."""

from __future__ import annotations

import json
import os
import secrets as random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from core import alerts, secrets, words
from core.db import db, utc_now, write
from core.errors import NotFound, Unreachable
from core.models import RepositoryRecord, Storage
from repository.compression import Mode
from repository.errors import NoRepository
from repository.keyfile import DEFAULT_KDF
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError
from storage_adapters.local import LocalAdapter
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryingAdapter, RetryPolicy

MARKER = ".holdfast-storage"
PROBE_BYTES = 4096
# How long a listing of what a storage holds is believed: pages ask for it, and a big one takes a while.
USAGE_AGE_S = 300
RETRY = RetryPolicy()
# What new repositories cost an attacker to guess at; tests lower it here.
KDF = DEFAULT_KDF


@dataclass(frozen=True, slots=True)
class Usage:
    """What Holdfast keeps on a storage, and the room of the file system it lies on."""

    used_bytes: int
    free_bytes: int
    total_bytes: int


_usage: dict[str, tuple[float, Usage]] = {}


def list_all() -> Sequence[Storage]:
    """Return all storages by name."""
    return db.session.scalars(select(Storage).order_by(Storage.name)).all()


def get(storage_id: str) -> Storage:
    """Return a storage. Raises NotFound."""
    storage = db.session.get(Storage, storage_id)
    if storage is None:
        raise NotFound(f"There is no storage {storage_id!r}.")
    return storage


def get_repository(repository_id: str) -> RepositoryRecord:
    """Return the row of a repository by its row id. Raises NotFound."""
    record = db.session.get(RepositoryRecord, repository_id)
    if record is None:
        raise NotFound(f"There is no repository {repository_id!r}.")
    return record


def list_repositories() -> Sequence[RepositoryRecord]:
    """Return all repositories, the first one made first."""
    return db.session.scalars(select(RepositoryRecord).order_by(RepositoryRecord.created_at)).all()


def local_roots() -> list[str]:
    """Return the roots of all storages on this machine: never part of a backup."""
    return [path for storage in list_all() if (path := storage.settings.get("path"))]


def make_adapter(path: str) -> StorageAdapter:
    """Return an adapter for a local root, with retries. Looks at nothing."""
    return RetryingAdapter(LocalAdapter(path), RETRY)


def open_adapter(storage: Storage) -> StorageAdapter:
    """Return an adapter after its marker was found to be the right one.

    Otherwise raises Unreachable; then nothing was written, the row says so and an alert is open.
    Not to be called inside a writing transaction.
    """
    adapter = make_adapter(storage.settings["path"])
    try:
        found = read_marker(adapter)
    except StorageError as error:
        raise _unreachable(storage, _why(storage, error)) from error
    if found is None:
        raise _unreachable(
            storage, f"its marker {MARKER} is missing, so this is not the folder that was set up"
        )
    if found != storage.marker_id:
        raise _unreachable(storage, "its marker is that of another storage")
    if storage.unreachable_since is not None:
        mark_reachable(storage.id)
    return adapter


def open_repository(record: RepositoryRecord, compression: Mode = "auto") -> Repository:
    """Open a repository that set-up made. Raises Unreachable, WrongPassword, Damaged, StorageError."""
    storage = record.storage
    adapter = PrefixedAdapter(open_adapter(storage), record.prefix)
    try:
        repository = Repository.open(adapter, password_of(record), compression=compression)
    except NoRepository as error:
        raise _unreachable(storage, f"there is no repository under {record.prefix}") from error
    if repository.id != record.repository_id:
        repository.close()
        raise _unreachable(storage, f"the repository under {record.prefix} is another one than was set up")
    return repository


def password_of(record: RepositoryRecord) -> str:
    """Return a repository's password. Raises secrets.SealBroken."""
    return secrets.unseal(record.password_sealed, table="repositories", row=record.id, column="password")


def seal_password(record_id: str, password: str) -> str:
    """Return a repository's password, sealed for its row."""
    return secrets.seal(password, table="repositories", row=record_id, column="password")


def read_marker(adapter: StorageAdapter) -> str | None:
    """Return the id in the marker; None if there is none; "" if it is not readable as one."""
    try:
        document = json.loads(adapter.get(MARKER))
    except ObjectNotFound:
        return None
    except ValueError:
        return ""
    found = document.get("storage") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""


def test(storage: Storage) -> str:
    """Write, read and delete a probe; return a sentence about it. Raises Unreachable."""
    adapter = open_adapter(storage)
    began = time.monotonic()
    try:
        _probe(adapter)
    except StorageError as error:
        raise _unreachable(storage, f"a probe could not be written, read and deleted: {error}") from error
    took_ms = (time.monotonic() - began) * 1000
    return f"Wrote, read and deleted a probe in {took_ms:.0f} ms."


def check_all() -> list[str]:
    """Look at the marker of every storage, so that rows and alerts are true; return the unreachable."""
    gone = []
    for storage_id in [storage.id for storage in list_all()]:
        try:
            open_adapter(get(storage_id)).close()
        except Unreachable:
            gone.append(storage_id)
    return gone


def gone_behind(candidates: Iterable[Storage], error: Exception) -> Exception:
    """Return that a storage is gone, and note it, if that is behind an error of a job; else the error."""
    for storage in candidates:
        try:
            open_adapter(storage).close()
        except Unreachable as gone:
            found = Unreachable(
                words.ended(f"The storage {storage.name} is unreachable: {storage.unreachable_reason}"),
                gone.advice,
            )
            found.__cause__ = error
            return found
    return error


def usage(storage: Storage, *, fresh: bool = False) -> Usage:
    """Return how full it is; up to five minutes old unless `fresh`. Raises Unreachable."""
    known = _usage.get(storage.id)
    if known is not None and not fresh and time.monotonic() - known[0] < USAGE_AGE_S:
        return known[1]
    adapter = open_adapter(storage)
    try:
        used_bytes = sum(found.size_bytes for found in adapter.list(""))
        room = os.statvfs(storage.settings["path"])
    except (StorageError, OSError) as error:
        raise _unreachable(storage, f"it could not be listed: {error}") from error
    found = Usage(used_bytes, room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize)
    _usage[storage.id] = (time.monotonic(), found)
    return found


def mark_unreachable(storage_id: str, reason: str) -> None:
    """Note on the row since when and why it cannot be used, and alert; known news is not written again."""
    if get(storage_id).unreachable_reason == reason and alerts.is_open(_subject(storage_id)):
        return
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.unreachable_since = storage.unreachable_since or utc_now()
        storage.unreachable_reason = reason
        name = storage.name
    alerts.raise_alert(
        _subject(storage_id),
        "unreachable",
        "error",
        words.ended(f"The storage {name} is unreachable: {reason}"),
        "No backup can be written there and none restored from there until it is back. "
        "What is on it was not touched.",
        "Check that its disk is connected and mounted at the same place, then test the storage.",
        storage_id=storage_id,
    )


def mark_reachable(storage_id: str) -> None:
    """Note that it can be used again, and resolve its alert."""
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.unreachable_since, storage.unreachable_reason = None, ""
        alerts.resolve_in(session, _subject(storage_id))


def _unreachable(storage: Storage, reason: str) -> Unreachable:
    name, path = storage.name, storage.settings["path"]
    mark_unreachable(storage.id, reason)
    return Unreachable(
        f"{words.ended(f'The storage {name} ({path}) is unreachable: {reason}')} Nothing was written.",
        "Check that its disk is connected and mounted there, then try again.",
    )


def _why(storage: Storage, error: StorageError) -> str:
    path = storage.settings["path"]
    if not os.path.exists(path):
        return f"its folder {path} is not there; is its disk mounted?"
    if not os.path.isdir(path):
        return f"{path} is a file, not a folder"
    return f"it could not be read: {str(error).rstrip('?.')}"


def _probe(adapter: StorageAdapter) -> None:
    key, data = f".holdfast-probe-{random.token_hex(8)}", random.token_bytes(PROBE_BYTES)
    adapter.put(key, data)
    try:
        if adapter.get(key) != data:
            raise StorageError("what was read back is not what was written")
    finally:
        adapter.delete(key)


def _subject(storage_id: str) -> str:
    return f"storage:{storage_id}"
