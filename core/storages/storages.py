"""Storages: where bytes go. Each use begins by reading the marker that set-up left in the root."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from sqlalchemy import select

from core import app_state, secrets, words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.errors import NotFound, Unreachable
from core.models import RepositoryRecord, Storage
from core.storages import providers, recovery
from core.storages.storage_inputs import StorageInput
from repository.cache import CachedKind
from repository.compression import Mode
from repository.errors import NoRepository
from repository.keyfile import DEFAULT_KDF
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError, StorageUnreachable
from storage_adapters.patience import BoundedAdapter, Patience
from storage_adapters.prefixed import PrefixedAdapter
from storage_adapters.retry import RetryPolicy

MARKER = ".holdfast-storage"
# None: what fits the provider. Tests of faults lower it here.
RETRY: RetryPolicy | None = None
# Trouble that may pass by itself is alerted once it has lasted for so long, or a job has failed by it.
CALM_FOR = timedelta(seconds=60)
LOOK_AGAIN_AFTER_S = 20.0
# How long the first look at a folder of this machine may take: one on a dead mount never comes back.
_MOUNT_WITHIN_S = 60.0
# What new repositories cost an attacker to guess at; tests lower it here.
KDF = DEFAULT_KDF
# Kept on this machine of remote repositories. No snapshots: whether those can be read, we want to know.
_CACHED: tuple[CachedKind, ...] = ("index", "trees", "packs")


class OwnedPart(PrefixedAdapter):
    """A part of a storage that nobody else uses the adapter of: closing it closes that, too."""

    def close(self) -> None:
        """See StorageAdapter."""
        self.inner.close()


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


def make_adapter(given: Storage | StorageInput, patience: Patience | None = None) -> StorageAdapter:
    """Return an adapter for a place, with retries. Looks at nothing. Raises StorageError, SealBroken."""
    chosen = patience or (Patience(RETRY) if RETRY is not None else None)
    return providers.make_adapter(providers.place_of(given), chosen)


def open_adapter(storage: Storage, patience: Patience | None = None) -> StorageAdapter:
    """Return an adapter after its marker was found to be the right one.

    Otherwise raises Unreachable; then nothing was written and the row says so. An alert is open, unless this
    was but a short look and the trouble may pass: see `mark_unreachable`. Not to be called inside a writing
    transaction.
    """
    try:
        adapter = make_adapter(storage, patience)
        found = read_marker(_bounded(storage, adapter))
    except (StorageError, secrets.SealBroken) as error:
        sure = patience is None or not getattr(error, "retryable", False)
        raise unusable(storage, _why(storage, error), sure=sure) from error
    if found != storage.marker_id:
        adapter.close()
        raise unusable(storage, _other_marker(storage, found))
    if storage.unreachable_since is not None:
        mark_reachable(storage.id)
    return adapter


def open_repository(
    record: RepositoryRecord, compression: Mode = "auto", patience: Patience | None = None
) -> Repository:
    """Open a repository that set-up made; its adapter is closed with it.

    Raises Unreachable, WrongPassword, Damaged, StorageError.
    """
    storage = record.storage
    adapter = open_adapter(storage, patience)
    try:
        repository = Repository.open(
            OwnedPart(adapter, record.prefix), password_of(record), compression=compression,
            cache_folder=_cache_folder(storage), cached=_CACHED,
        )  # fmt: skip
    except NoRepository as error:
        adapter.close()
        raise unusable(storage, f"there is no repository under {record.prefix}") from error
    except BaseException:
        adapter.close()
        raise
    if repository.id != record.repository_id:
        repository.close()
        raise unusable(storage, f"the repository under {record.prefix} is another one than was set up")
    return repository


def password_of(record: RepositoryRecord) -> str:
    """Return a repository's password. Raises secrets.SealBroken."""
    return secrets.unseal(record.password_sealed, table="repositories", row=record.id, column="password")


def has_own_password(record: RepositoryRecord) -> bool:
    """Tell whether a repository opens with another password than the recovery key. Raises SealBroken."""
    return password_of(record) != recovery.stored()


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


def check_all() -> list[str]:
    """Look at the marker of every storage, so that rows and alerts are true; return the unreachable."""
    gone = []
    for storage_id in [storage.id for storage in list_all()]:
        try:
            open_adapter(get(storage_id), providers.AT_A_PAGE).close()
        except Unreachable:
            gone.append(storage_id)
        except NotFound:
            continue  # deleted since: looking at the others took its time
    return gone


def watch(storage_id: str, pause: Callable[[float], bool]) -> bool:
    """Look at a storage; while it is in doubt, again soon, until it answers or is alerted. True: it answers.

    `pause` waits for so many seconds; True: look no more. Raises NotFound.
    """
    while True:
        try:
            open_adapter(get(storage_id), providers.AT_A_PAGE).close()
        except Unreachable:
            if alerts.is_open(_subject(storage_id)) or pause(LOOK_AGAIN_AFTER_S):
                return False
        else:
            return True
        db.session.rollback()


def gone_behind(candidates: Iterable[Storage], error: Exception, *, sure: bool = True) -> Exception:
    """Return that a storage is gone, and note it, if that is behind an error; else the error.

    `sure`: the error has ended a job, so that it is alerted at once.
    """
    for storage in candidates:
        try:
            open_adapter(storage, providers.AT_A_PAGE).close()
        except Unreachable as gone:
            if sure:
                mark_unreachable(storage.id, storage.unreachable_reason)
            found = Unreachable(
                words.ended(f"The storage {storage.name} is unreachable: {storage.unreachable_reason}"),
                gone.advice,
            )
            found.__cause__ = error
            return found
    return error


def mark_unreachable(storage_id: str, reason: str, *, sure: bool = True) -> None:
    """Note on the row since when and why it cannot be used, and alert; known news is not written again.

    Not `sure`: this may pass in a moment, as a busy server does. Then the alert waits until it has lasted.
    """
    if get(storage_id).unreachable_reason == reason and alerts.is_open(_subject(storage_id)):
        return
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.unreachable_since = since = storage.unreachable_since or utc_now()
        storage.unreachable_reason = reason
        name, provider = storage.name, storage.provider
    if not sure and utc_now() - since < CALM_FOR:
        return
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


def unusable(storage: Storage, reason: str, *, sure: bool = True) -> Unreachable:
    """Note that a storage cannot be used; return the error that says so."""
    name, place, provider = storage.name, providers.where(storage), storage.provider
    mark_unreachable(storage.id, reason, sure=sure)
    return Unreachable(
        f"{words.ended(f'The storage {name} ({place}) is unreachable: {reason}')} Nothing was written.",
        providers.advice(provider),
    )


def _bounded(storage: Storage, adapter: StorageAdapter) -> StorageAdapter:
    """Return an adapter that cannot hang where the system itself would."""
    if storage.provider != "local" or isinstance(adapter, BoundedAdapter):
        return adapter
    return BoundedAdapter(adapter, _MOUNT_WITHIN_S, f"local:{storage.settings}")


def _other_marker(storage: Storage, found: str | None) -> str:
    if found is not None:
        return "its marker is that of another storage"
    here = "folder" if storage.provider != "s3" else "place"
    return f"its marker {MARKER} is missing, so this is not the {here} that was set up"


def _why(storage: Storage, error: Exception) -> str:
    if storage.provider != "local" or isinstance(error, StorageUnreachable):  # looking further would hang
        return str(error).rstrip(".")
    path = storage.settings["path"]
    if not os.path.exists(path):
        return f"its folder {path} is not there; is its disk mounted?"
    if not os.path.isdir(path):
        return f"{path} is a file, not a folder"
    return f"it could not be read: {str(error).rstrip('.')}"


def _cache_folder(storage: Storage) -> str | None:
    """Return where metadata of a remote repository is kept; a disk of this machine needs no cache."""
    if storage.provider == "local":
        return None
    return os.path.join(app_state.settings().data_dir, "cache", "repositories")


def _subject(storage_id: str) -> str:
    return f"storage:{storage_id}"
