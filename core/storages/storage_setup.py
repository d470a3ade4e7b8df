"""Initialise a storage: once, in steps that a kill cannot harm: the next try goes on where this one ended.

Order: plan (a row), marker, repository, rows. The password is stored, sealed, before any of it (core.setup).
"""

from __future__ import annotations

import json
import logging
import secrets as random
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select

from core import app_state, instance, words
from core.db import db, utc_now, write
from core.errors import Conflict, HoldfastError, Invalid, Refused
from core.models import RepositoryRecord, Storage
from core.points.reconcile import reconcile
from core.storages import polynomial, providers, recovery, storage_inputs, storage_probe, storages
from core.storages.storage_inputs import LocalInput, StorageInput
from core.storages.storage_look import PREFIX as PREFIX
from core.storages.storage_look import Look as Look
from core.storages.storage_look import check, exists, not_reached
from core.storages.storage_look import check_path as check_path
from core.storages.storage_look import examine as _examine
from core.storages.storage_look import look as look
from core.storages.storage_probe import Probe as Probe
from repository.errors import RepositoryError
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.prefixed import PrefixedAdapter

_PLAN = "storage_plan"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is being initialised: decided and stored before anything is written to the storage."""

    name: str
    path: str  # where it is, as providers.where says
    storage_id: str
    record_id: str
    marker_id: str


def can_adopt(path: str, password: str) -> bool:
    """Tell whether a repository lies at `path` that the password opens; False if there is none.

    Writes nothing. Raises Refused where the folder holds something that must not be touched.
    """
    data = LocalInput(name="?", path=path)
    adapter = storages.make_adapter(data)
    try:
        found = _examine(adapter, data, password)
    except StorageError as error:
        raise _unusable(data, error) from error
    finally:
        adapter.close()
    if found.has_repository and not found.ok:
        raise Refused(found.text, found.advice)
    return found.has_repository


def probe(data: StorageInput) -> Probe:
    """Write, read and delete a probe before anything is saved. Raises Invalid by field, Unreachable."""
    data = check(data)
    adapter = storages.make_adapter(data, providers.AT_A_PAGE)
    try:
        return storage_probe.probe(adapter)
    except StorageError as error:
        raise not_reached(data, error) from error
    finally:
        adapter.close()


def create(data: StorageInput, password: str = "") -> Storage:
    """Initialise a storage with its repository, or adopt the repository that is there.

    `password`: that of a repository to adopt; "": the recovery key, which new repositories get. Raises
    Invalid for a bad place, Refused for one that holds something else, Conflict for a taken name. Whatever
    ended an earlier try, the same call goes on from there.
    """
    key = password or recovery.stored()
    if not key:
        raise Refused("There is no recovery key yet.", "Finish set-up first.")
    return _create(data, key, only_adopt=bool(password) and password != recovery.stored())


def create_local(name: str, path: str, password: str) -> Storage:
    """Do the same with a folder of this machine, whose new repository gets this password."""
    return _create(LocalInput(name=name, path=path), password)


def initialise(
    adapter: StorageAdapter, data: StorageInput, marker_id: str, password: str, cut: str | None
) -> Repository:
    """Leave a marker in an empty place and make a repository there, or go on from where that ended.

    `cut`: the chunker polynomial, None for a new one. Raises StorageError, RepositoryError.
    """
    providers.make_root(providers.place_of(data))
    if storages.read_marker(adapter) != marker_id:
        _mark(adapter, marker_id)
    inner = PrefixedAdapter(adapter, PREFIX)
    if exists(inner, "config"):
        return Repository.open(inner, password)
    # Keys without a config are what a killed try has left: the place was empty before it.
    for key in list(inner.list("keys/")):
        inner.delete(key.key)
    return Repository.init(inner, password, kdf=storages.KDF, chunker_polynomial=cut)


def _create(data: StorageInput, password: str, *, only_adopt: bool = False) -> Storage:
    with app_state.lock("storage-setup"):
        data = check(data)
        plan = _plan(data)
        cut = polynomial.shared()
        adapter = storages.make_adapter(data)
        try:
            found = _examine_quickly(data, password)
            _refuse(found, plan, only_adopt=only_adopt)
            adopted = found.has_repository and found.marker != plan.marker_id
            plan, repository = _make(adapter, data, plan, found, password, cut)
        except StorageError as error:
            raise _unusable(data, error) from error
        finally:
            adapter.close()
        storage = _add_rows(data, plan, found.prefix, repository, password, adopted=adopted)
        if adopted:
            _take_in(storage.repositories[0].id)
        return storage


def _examine_quickly(data: StorageInput, password: str) -> Look:
    """Somebody waits for the answer: a place that is mistyped is not tried for a minute."""
    adapter = storages.make_adapter(data, providers.AT_A_PAGE)
    try:
        return _examine(adapter, data, password)
    finally:
        adapter.close()


def _plan(data: StorageInput) -> _Plan:
    """Return the plan of an earlier try for this place, or store a new one."""
    if db.session.scalar(select(Storage).where(Storage.name == data.name)) is not None:
        raise Conflict(f"There is already a storage {data.name!r}.", "Choose another name.", field="name")
    known, place = instance.get(_PLAN), providers.where(data)
    if known is not None and known["path"] == place:
        return _Plan(**{**known, "name": data.name})
    plan = _Plan(data.name, place, random.token_hex(8), random.token_hex(8), random.token_hex(16))
    instance.put(_PLAN, asdict(plan))
    return plan


def _refuse(found: Look, plan: _Plan, *, only_adopt: bool) -> None:
    """Raise Refused for a place that holds more than an earlier try of this plan has left."""
    if not found.ok and (found.marker != plan.marker_id or found.opens is False):
        raise Refused(found.text, found.advice)
    if only_adopt and not found.has_repository:
        raise Invalid({"password_there": "There is no repository there that this could open."})


def _make(
    adapter: StorageAdapter, data: StorageInput, plan: _Plan, found: Look, password: str, cut: str | None
) -> tuple[_Plan, Repository]:
    """Return the repository, and the plan with the marker's id that an adopted storage has."""
    if not found.has_repository or found.marker == plan.marker_id:
        return plan, initialise(adapter, data, plan.marker_id, password, cut)
    if found.marker:
        plan = replace(plan, marker_id=found.marker)
    else:
        _mark(adapter, plan.marker_id)
    return plan, Repository.open(PrefixedAdapter(adapter, found.prefix), password)


def _mark(adapter: StorageAdapter, marker_id: str) -> None:
    text = json.dumps({"storage": marker_id, "made_by": "Holdfast", "made_at": utc_now().isoformat()})
    adapter.put(storages.MARKER, text.encode())


def _add_rows(
    data: StorageInput, plan: _Plan, prefix: str, repository: Repository, password: str, *, adopted: bool
) -> Storage:
    with write() as session:
        now = utc_now()
        storage = Storage(id=plan.storage_id, marker_id=plan.marker_id, initialised_at=now)
        storage.tested_at, storage.test_ok, storage.test_result = (
            now,
            True,
            "It was set up: written and read.",
        )
        storage_inputs.fill(storage, data)
        storage.credentials_sealed = providers.seal_credentials(storage.id, data.credentials)
        record = RepositoryRecord(
            id=plan.record_id,
            storage=storage,
            prefix=prefix,
            repository_id=repository.id,
            password_sealed=storages.seal_password(plan.record_id, password),
            polynomial_sealed=polynomial.seal(plan.record_id, repository.config.chunker_polynomial),
            adopted=adopted,
        )
        session.add_all((storage, record))
        instance.set_in(session, _PLAN, None)
        return storage


def _take_in(record_id: str) -> None:
    """Make points of the snapshots that an adopted repository holds. What fails, daily retention repeats."""
    record = storages.get_repository(record_id)
    try:
        repo = storages.open_repository(record)
        try:
            reconcile(repo, record)
        finally:
            repo.close()
    except (HoldfastError, RepositoryError, StorageError) as error:
        _log.warning("the snapshots of %s could not be taken in yet: %s", record.storage.name, error)


def _unusable(data: StorageInput, error: StorageError) -> HoldfastError:
    if data.provider != "local":
        found = not_reached(data, error)
        # What a field is to blame for is said at that field.
        return found if isinstance(found, Invalid) else Refused(found.message, found.advice)
    return Refused(
        words.ended(f"The folder {data.settings['path']} cannot be used: {error}"),
        "Let the user that Holdfast runs as write there, or choose another folder.",
    )
