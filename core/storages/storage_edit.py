"""Change a storage: its facts, place, credentials; take it out; put a new one in a lost one's place."""

from __future__ import annotations

import secrets as random

from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from core import instance, words
from core.backups import copying
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound, Refused, Unreachable
from core.models import (
    Alert,
    Copy,
    Destination,
    Job,
    RepositoryRecord,
    Restore,
    Storage,
    StorageSample,
)
from core.points import opened
from core.storages import polynomial, providers, storage_inputs, storage_jobs, storage_setup, storages
from core.storages.storage_inputs import StorageInput
from core.storages.storage_look import PREFIX, check, examine, not_reached
from core.storages.storage_uses import repository_ids, why_not_delete
from repository.errors import RepositoryError
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.prefixed import PrefixedAdapter


def delete(storage_id: str) -> None:
    """Forget a storage and the copies on it. What is stored there stays as it is.

    Raises NotFound; Refused while something depends on it.
    """
    with write() as session:  # nobody begins to use it between the look and the end
        reasons = why_not_delete(storage_id)
        storage = storages.get(storage_id)
        if reasons:
            raise Refused(
                f"{storage.name} cannot be deleted. {' '.join(reasons)}",
                "Take it out of these configs, and let the points be copied elsewhere first.",
            )
        _delete_rows(session, storage)
    opened.forget_all()


def update(storage_id: str, data: StorageInput) -> Storage:
    """Change a storage. A new place or new credentials count only if the same storage is found there.

    Raises NotFound, Conflict for a taken name or while a job writes to the old place, Invalid, Unreachable,
    Refused; then nothing was changed.
    """
    storage = storages.get(storage_id)
    _require_free_name(data.name, storage_id)
    data = check(data, storage)
    moved = (data.provider, data.settings) != (storage.provider, storage.settings)
    if moved or data.credentials != providers.credentials_of(storage):
        _require_same(storage, data)
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        if moved:
            _refuse_while_written(storage)
        _save(storage, data)
    opened.forget_all()
    if moved:
        storages.mark_reachable(storage_id)
    return storages.get(storage_id)


def replace_lost(storage_id: str, data: StorageInput) -> list[Job]:
    """Put a new, empty place where a storage was lost; return the copies that fill it, to be enqueued.

    All copies on the lost one are marked lost. Raises Refused while the old one answers, or where the new
    place is not empty; Conflict while a job still tries to write to the old one; Invalid, Unreachable.
    Whatever ended an earlier try, the same call goes on from there.
    """
    storage = storages.get(storage_id)
    _refuse_while_written(storage)
    _require_lost(storage)
    _require_free_name(data.name, storage_id)
    data = check(data, storage)
    key = f"storage_replacement:{storage_id}"
    marker_id = instance.get(key)
    if marker_id is None:
        marker_id = random.token_hex(16)
        instance.put(key, marker_id)
    record = storage.repositories[0]
    made = _make_anew(record, data, marker_id)
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        _refuse_while_written(storage)
        _save(storage, data)
        storage.marker_id, storage.used_bytes, storage.measured_at = marker_id, None, None
        _become(session, session.get_one(RepositoryRecord, record.id), made)
        instance.set_in(session, key, None)
    opened.forget_all()
    storages.mark_reachable(storage_id)
    return _fill(record.id)


def _refuse_while_written(storage: Storage) -> None:
    """What a job writes to the old place would be missing at the new one, whatever its rows say."""
    job = storage_jobs.writing_to(storage)
    if job is not None:
        raise Conflict(
            f"Job {job.id} is writing to {storage.name}.",
            "Wait until it has ended, or cancel it; then try again. Nothing was changed.",
        )


def _delete_rows(session: Session, storage: Storage) -> None:
    ids = repository_ids(storage)
    copies = select(Copy.id).where(Copy.repository_id.in_(ids))
    session.execute(update_rows(Restore).where(Restore.copy_id.in_(copies)).values(copy_id=None))
    session.execute(delete_rows(Copy).where(Copy.repository_id.in_(ids)))
    session.execute(delete_rows(Destination).where(Destination.repository_id.in_(ids)))  # of deleted configs
    session.execute(update_rows(Job).where(Job.repository_id.in_(ids)).values(repository_id=None))
    about = update_rows(Alert).where(Alert.storage_id == storage.id)
    session.execute(about.where(Alert.resolved_at.is_(None)).values(resolved_at=utc_now()))
    session.execute(about.values(storage_id=None))
    session.execute(delete_rows(StorageSample).where(StorageSample.storage_id == storage.id))
    session.execute(delete_rows(RepositoryRecord).where(RepositoryRecord.storage_id == storage.id))
    session.execute(delete_rows(Storage).where(Storage.id == storage.id))


def _require_free_name(name: str, own_id: str) -> None:
    other = db.session.scalar(select(Storage).where(Storage.name == name, Storage.id != own_id))
    if other is not None:
        raise Conflict(f"There is already a storage {name!r}.", "Choose another name.", field="name")


def _require_same(storage: Storage, data: StorageInput) -> None:
    """Raise Refused unless this very storage, with all its repositories, is at the new place."""
    adapter = storages.make_adapter(data, providers.AT_A_PAGE)
    place = providers.where(data)
    try:
        if storages.read_marker(adapter) != storage.marker_id:
            raise Refused(
                f"{place} is not the storage {storage.name}: its marker is missing there, or another's.",
                "Move its content there first, marker and all; or add it as a storage of its own. "
                "Nothing was changed.",
            )
        for record in storage.repositories:
            _require_repository(adapter, record, place)
    except StorageError as error:
        raise not_reached(data, error) from error
    finally:
        adapter.close()


def _require_repository(adapter: StorageAdapter, record: RepositoryRecord, place: str) -> None:
    try:
        found = Repository.open(PrefixedAdapter(adapter, record.prefix), storages.password_of(record))
    except RepositoryError as error:
        raise Refused(
            words.ended(f"The repository at {place} cannot be opened: {error}"), "Nothing was changed."
        ) from error
    if found.id != record.repository_id:
        raise Refused(f"The repository at {place} is another one.", "Nothing was changed.")


def _save(storage: Storage, data: StorageInput) -> None:
    storage_inputs.fill(storage, data)
    storage.credentials_sealed = providers.seal_credentials(storage.id, data.credentials)


def _require_lost(storage: Storage) -> None:
    try:
        storages.open_adapter(storage, providers.AT_A_PAGE).close()
    except Unreachable:
        return
    raise Refused(
        f"{storage.name} is there and answers, so it is not lost.",
        "Change its place if it has moved, or add another storage.",
    )


def _make_anew(record: RepositoryRecord, data: StorageInput, marker_id: str) -> Repository:
    password, cut = storages.password_of(record), polynomial.shared()
    adapter = storages.make_adapter(data, providers.QUICK)
    try:
        found = examine(adapter, data, password)
        if found.marker != marker_id and found.kind not in ("missing", "empty"):
            raise Refused(
                f"A lost storage is replaced by an empty place. {found.text}",
                "Choose an empty one. Nothing was written.",
            )
        return storage_setup.initialise(adapter, data, marker_id, password, cut)
    except StorageError as error:
        raise not_reached(data, error) from error
    finally:
        adapter.close()


def _become(session: Session, record: RepositoryRecord, made: Repository) -> None:
    record.prefix, record.repository_id, record.adopted = PREFIX, made.id, False
    record.polynomial_sealed = polynomial.seal(record.id, made.config.chunker_polynomial)
    there = select(Copy).where(
        Copy.repository_id == record.id, Copy.forgotten_at.is_(None), Copy.lost_at.is_(None)
    )
    for copy in session.scalars(there):
        if copy.trashed_at is not None:
            copy.forgotten_at = utc_now()
        else:
            copy.lost_at = utc_now()


def _fill(record_id: str) -> list[Job]:
    """Make a copy for each config that has something elsewhere which belongs there."""
    rows = db.session.scalars(select(Destination).where(Destination.repository_id == record_id)).all()
    started = []
    for destination_id in [row.id for row in rows]:
        try:
            started.append(copying.sync(destination_id, "manual"))
        except (Refused, Conflict, NotFound):
            continue  # nothing to copy, copied already, or of a deleted config
    return started
