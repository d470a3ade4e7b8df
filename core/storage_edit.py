"""Change a storage: its facts, place, credentials; take it out; put a new one in a lost one's place."""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from core import (
    copying,
    instance,
    opened,
    points,
    polynomial,
    providers,
    storage_inputs,
    storage_jobs,
    storage_setup,
    storages,
    words,
)
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound, Refused, Unreachable
from core.models import (
    Alert,
    Config,
    Copy,
    Destination,
    Job,
    Point,
    RepositoryRecord,
    Restore,
    Storage,
    StorageSample,
)
from core.storage_inputs import StorageInput
from core.storage_look import PREFIX, check, examine, not_reached
from repository.errors import RepositoryError
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.prefixed import PrefixedAdapter

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Uses:
    """What depends on a storage. `only_copies`: points, newest first, whose only good copy is there."""

    configs: Sequence[Config]
    only_copies: Sequence[Point]
    copies: int


def uses(storage_id: str) -> Uses:
    """Return what depends on a storage. Raises NotFound.

    Snapshots of no config, which were in an adopted repository before us, are nobody's only copy: they stay
    where they are.
    """
    ids = _repository_ids(storages.get(storage_id))
    configs, number = in_short(storage_id)
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.live())
    elsewhere = Point.copies.any(Copy.repository_id.not_in(ids) & points.live())
    only = select(Point).where(here, ~elsewhere, Point.config_id.is_not(None))
    return Uses(configs, db.session.scalars(only.order_by(Point.taken_at.desc())).all(), number)


def in_short(storage_id: str) -> tuple[Sequence[Config], int]:
    """Return the configs that use a storage, and how many good copies it holds. Raises NotFound."""
    ids = _repository_ids(storages.get(storage_id))
    number = select(func.count()).select_from(Copy).where(Copy.repository_id.in_(ids), points.live())
    return _using(ids), db.session.scalar(number) or 0


def why_not_delete(storage_id: str) -> list[str]:
    """Return what keeps a storage from being deleted, in sentences; empty if nothing does."""
    found, reasons = uses(storage_id), []
    if found.configs:
        names = [config.name for config in found.configs]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        reasons.append(f"It is a destination of {', '.join(names[:_NAMED])}{more}.")
    if found.only_copies:
        point = found.only_copies[0]
        name, zone = (point.config.name, point.config.timezone) if point.config else ("no config", "UTC")
        number = words.count(len(found.only_copies), "point")
        newest = f"the newest is {name}, {words.moment(point.taken_at, zone)}"
        reasons.append(f"It holds the only copy of {number}; {newest}.")
    elif away := _whole_only_away(storage_id):
        names = sorted({other.name for other in away})
        reasons.append(
            f"It holds points whose other copies are all on {' and '.join(names)}, which cannot be reached."
        )
    job = storage_jobs.using(storages.get(storage_id))
    if job is not None:
        reasons.append(f"Job {job.id} is using it.")
    return reasons


def _whole_only_away(storage_id: str) -> list[Storage]:
    """Return the storages out of reach that hold all other copies of a point that is also here."""
    ids = _repository_ids(storages.get(storage_id))
    others = Copy.repository_id.not_in(ids) & points.live()
    answers = Copy.repository.has(RepositoryRecord.storage.has(Storage.unreachable_since.is_(None)))
    here = Point.copies.any(Copy.repository_id.in_(ids) & points.live())
    query = select(Point).where(here, ~Point.copies.any(others & answers), Point.config_id.is_not(None))
    return [
        copy.repository.storage
        for point in db.session.scalars(query)
        for copy in point.copies
        if copy.repository_id not in ids and points.is_live(copy)
    ]


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


def _repository_ids(storage: Storage) -> list[str]:
    return [record.id for record in storage.repositories]


def _using(repository_ids: Sequence[str]) -> Sequence[Config]:
    using = select(Config).where(
        Config.destinations.any(Destination.repository_id.in_(repository_ids)), Config.deleted_at.is_(None)
    )
    return db.session.scalars(using.order_by(func.lower(Config.name))).all()


def _refuse_while_written(storage: Storage) -> None:
    """What a job writes to the old place would be missing at the new one, whatever its rows say."""
    job = storage_jobs.writing_to(storage)
    if job is not None:
        raise Conflict(
            f"Job {job.id} is writing to {storage.name}.",
            "Wait until it has ended, or cancel it; then try again. Nothing was changed.",
        )


def _delete_rows(session: Session, storage: Storage) -> None:
    ids = _repository_ids(storage)
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
    adapter = storages.make_adapter(data, providers.QUICK)
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
        storages.open_adapter(storage, providers.QUICK).close()
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
