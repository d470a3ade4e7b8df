"""Storages: where bytes go. Each use begins by reading the marker that set-up left in the root."""

from __future__ import annotations

import json
import os
import secrets as random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import select

from core import alerts, app_state, providers, secrets, words
from core.db import db, utc_now, write
from core.errors import NotFound, Unreachable
from core.models import RepositoryRecord, Storage
from core.storage_inputs import StorageInput
from repository.cache import CachedKind
from repository.compression import Mode
from repository.errors import NoRepository
from repository.keyfile import DEFAULT_KDF
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryPolicy

MARKER = ".holdfast-storage"
PROBE_BYTES = 4096
# None: what fits the provider. Tests of faults lower it here.
RETRY: RetryPolicy | None = None
# What new repositories cost an attacker to guess at; tests lower it here.
KDF = DEFAULT_KDF
# Kept on this machine of remote repositories. No snapshots: whether those can be read, we want to know.
_CACHED: tuple[CachedKind, ...] = ("index", "trees", "packs")


class OwnedPart(PrefixedAdapter):
    """A part of a storage that nobody else uses the adapter of: closing it closes that, too."""

    def close(self) -> None:
        """See StorageAdapter."""
        self.inner.close()


@dataclass(frozen=True, slots=True)
class Probe:
    """How long a small object took to be written, read and deleted."""

    write_ms: float
    read_ms: float
    delete_ms: float

    @property
    def text(self) -> str:
        """Say it."""
        total = self.write_ms + self.read_ms + self.delete_ms
        return f"Wrote, read and deleted a probe in {total:.0f} ms."


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


def repository_choices() -> Sequence[RepositoryRecord]:
    """Return the repositories that a config may choose as a destination, by the name of their storage."""
    return sorted(list_repositories(), key=lambda record: (record.storage.name.lower(), record.prefix))


def local_roots() -> list[str]:
    """Return the roots of all storages on this machine: never part of a backup."""
    return [storage.settings["path"] for storage in list_all() if storage.provider == "local"]


def make_adapter(given: Storage | StorageInput, policy: RetryPolicy | None = None) -> StorageAdapter:
    """Return an adapter for a place, with retries. Looks at nothing. Raises StorageError, SealBroken."""
    return providers.make_adapter(providers.place_of(given), policy or RETRY)


def open_adapter(storage: Storage, policy: RetryPolicy | None = None) -> StorageAdapter:
    """Return an adapter after its marker was found to be the right one.

    Otherwise raises Unreachable; then nothing was written, the row says so and an alert is open.
    Not to be called inside a writing transaction.
    """
    try:
        adapter = make_adapter(storage, policy)
        found = read_marker(adapter)
    except (StorageError, secrets.SealBroken) as error:
        raise _unreachable(storage, _why(storage, error)) from error
    if found != storage.marker_id:
        adapter.close()
        raise _unreachable(storage, _other_marker(storage, found))
    if storage.unreachable_since is not None:
        mark_reachable(storage.id)
    return adapter


def open_repository(
    record: RepositoryRecord, compression: Mode = "auto", policy: RetryPolicy | None = None
) -> Repository:
    """Open a repository that set-up made; its adapter is closed with it.

    Raises Unreachable, WrongPassword, Damaged, StorageError.
    """
    storage = record.storage
    adapter = open_adapter(storage, policy)
    try:
        repository = Repository.open(
            OwnedPart(adapter, record.prefix), password_of(record), compression=compression,
            cache_folder=_cache_folder(storage), cached=_CACHED,
        )  # fmt: skip
    except NoRepository as error:
        adapter.close()
        raise _unreachable(storage, f"there is no repository under {record.prefix}") from error
    except BaseException:
        adapter.close()
        raise
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
    """Write, read and delete a probe, and note on the row how that went; return a sentence about it.

    Raises Unreachable.
    """
    storage_id = storage.id
    try:
        adapter = open_adapter(storage, providers.QUICK)
        try:
            text = probe(adapter).text
        except StorageError as error:
            raise _unreachable(storage, f"a probe could not be written, read and deleted: {error}") from error
        finally:
            adapter.close()
    except Unreachable as error:
        _note_test(storage_id, ok=False, text=error.message)
        raise
    _note_test(storage_id, ok=True, text=text)
    return text


def probe(adapter: StorageAdapter) -> Probe:
    """Write, read and delete a small object. Raises StorageError."""
    key, data = f".holdfast-probe-{random.token_hex(8)}", random.token_bytes(PROBE_BYTES)
    times = [time.monotonic()]
    adapter.put(key, data)
    times.append(time.monotonic())
    try:
        if adapter.get(key) != data:
            raise StorageError("what was read back is not what was written")
        times.append(time.monotonic())
    finally:
        adapter.delete(key)
    times.append(time.monotonic())
    return Probe(*((after - before) * 1000 for before, after in pairwise(times)))


def check_all() -> list[str]:
    """Look at the marker of every storage, so that rows and alerts are true; return the unreachable."""
    gone = []
    for storage_id in [storage.id for storage in list_all()]:
        try:
            open_adapter(get(storage_id), providers.QUICK).close()
        except Unreachable:
            gone.append(storage_id)
        except NotFound:
            continue  # deleted since: looking at the others took its time
    return gone


def gone_behind(candidates: Iterable[Storage], error: Exception) -> Exception:
    """Return that a storage is gone, and note it, if that is behind an error of a job; else the error."""
    for storage in candidates:
        try:
            open_adapter(storage, providers.QUICK).close()
        except Unreachable as gone:
            found = Unreachable(
                words.ended(f"The storage {storage.name} is unreachable: {storage.unreachable_reason}"),
                gone.advice,
            )
            found.__cause__ = error
            return found
    return error


def mark_unreachable(storage_id: str, reason: str) -> None:
    """Note on the row since when and why it cannot be used, and alert; known news is not written again."""
    if get(storage_id).unreachable_reason == reason and alerts.is_open(_subject(storage_id)):
        return
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.unreachable_since = storage.unreachable_since or utc_now()
        storage.unreachable_reason = reason
        name, provider = storage.name, storage.provider
    alerts.raise_alert(
        _subject(storage_id),
        "unreachable",
        "error",
        words.ended(f"The storage {name} is unreachable: {reason}"),
        "No backup can be written there and none restored from there until it is back. "
        "What is on it was not touched.",
        providers.advice(provider),
        storage_id=storage_id,
    )


def mark_reachable(storage_id: str) -> None:
    """Note that it can be used again, and resolve its alert."""
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.unreachable_since, storage.unreachable_reason = None, ""
        alerts.resolve_in(session, _subject(storage_id))


def _unreachable(storage: Storage, reason: str) -> Unreachable:
    name, place, provider = storage.name, providers.where(storage), storage.provider
    mark_unreachable(storage.id, reason)
    return Unreachable(
        f"{words.ended(f'The storage {name} ({place}) is unreachable: {reason}')} Nothing was written.",
        providers.advice(provider),
    )


def _other_marker(storage: Storage, found: str | None) -> str:
    if found is not None:
        return "its marker is that of another storage"
    here = "folder" if storage.provider != "s3" else "place"
    return f"its marker {MARKER} is missing, so this is not the {here} that was set up"


def _why(storage: Storage, error: Exception) -> str:
    if storage.provider != "local":
        return str(error).rstrip("?.")
    path = storage.settings["path"]
    if not os.path.exists(path):
        return f"its folder {path} is not there; is its disk mounted?"
    if not os.path.isdir(path):
        return f"{path} is a file, not a folder"
    return f"it could not be read: {str(error).rstrip('?.')}"


def _note_test(storage_id: str, *, ok: bool, text: str) -> None:
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.tested_at, storage.test_ok, storage.test_result = utc_now(), ok, text


def _cache_folder(storage: Storage) -> str | None:
    """Return where metadata of a remote repository is kept; a disk of this machine needs no cache."""
    if storage.provider == "local":
        return None
    return os.path.join(app_state.settings().data_dir, "cache", "repositories")


def _subject(storage_id: str) -> str:
    return f"storage:{storage_id}"
