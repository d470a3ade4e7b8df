"""Initialise a storage: once, in steps that a kill cannot harm: the next try goes on where this one ended.

Order: plan (a row), marker, repository, rows. The password is stored, sealed, before any of it (core.setup).
"""

from __future__ import annotations

import json
import os
import secrets as random
from dataclasses import asdict, dataclass

from sqlalchemy import select

from core import app_state, instance, storages, words
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, Refused
from core.models import RepositoryRecord, Storage
from repository.errors import Damaged, NoRepository, WrongPassword
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError
from storage_adapters.local import create_root
from storage_adapters.prefixed import PrefixedAdapter

PREFIX = "repository/"
_PLAN = "storage_plan"
_FORBIDDEN = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
_IGNORED = ("lost+found", "System Volume Information", "$RECYCLE.BIN")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is being initialised: decided and stored before anything is written to the storage."""

    name: str
    path: str
    storage_id: str
    record_id: str
    marker_id: str


def check_path(path: str) -> str:
    """Return the path in its plain form, if a storage may lie there. Raises Invalid; writes nothing."""
    path = path.strip()
    if not path.startswith("/") or not path.isprintable():
        raise Invalid(
            {"path": "The path must be absolute: it starts with /, as /mnt/backup-disk/holdfast does."}
        )
    path = os.path.normpath("/" + path.lstrip("/"))
    real, data_dir = os.path.realpath(path), os.path.realpath(app_state.settings().data_dir)
    if real in _FORBIDDEN:
        raise Invalid(
            {"path": f"{path} belongs to the system. Choose a folder of its own, on another disk if you can."}
        )
    if os.path.exists(real) and not os.path.isdir(real):
        raise Invalid({"path": f"{path} is a file, not a folder. Choose a folder of its own."})
    if _overlaps(real, data_dir):
        raise Invalid(
            {"path": f"{path} overlaps Holdfast's own data folder ({data_dir}). Choose another folder."}
        )
    for root in storages.local_roots():
        if _overlaps(real, os.path.realpath(root)):
            raise Invalid({"path": f"{path} overlaps the storage at {root}. Choose another folder."})
    return path


def can_adopt(path: str, password: str) -> bool:
    """Tell whether a repository lies below `path` that the password opens; False if there is none.

    Writes nothing. Raises Refused where the folder holds something that must not be touched.
    """
    if not os.path.lexists(path):
        return False
    adapter = storages.make_adapter(path)
    try:
        if _exists(adapter, "config") and any(True for _ in adapter.list("keys/")):
            raise Refused(
                f"{path} itself is a restic repository.",
                "This version cannot adopt that layout. Choose an empty folder. Nothing was written.",
            )
        if not _exists(adapter, f"{PREFIX}config"):
            return False
        _open(adapter, path, password).close()
    except StorageError as error:
        raise _unusable(path, error) from error
    return True


def create_local(name: str, path: str, password: str) -> Storage:
    """Initialise a storage at a folder, with its repository, or adopt the repository that is there.

    Raises Invalid for a bad path or name, Refused for a folder that holds something else, Conflict if
    this one is set up already. Whatever ended an earlier try, the same call goes on from there.
    """
    with app_state.lock("storage-setup"):
        path = check_path(path)
        adopting = can_adopt(path, password)
        plan = _plan(name, path)
        adapter = storages.make_adapter(path)
        if not adopting:
            _require_empty(adapter, plan)
        try:
            create_root(path)
            plan = _mark(adapter, plan, adopting=adopting)
            repository = _make_repository(adapter, plan, password)
        except StorageError as error:
            raise _unusable(path, error) from error
        repository.close()
        return _add_rows(plan, repository.id, password)


def _plan(name: str, path: str) -> _Plan:
    """Return the plan of an earlier try for this folder, or store a new one."""
    if db.session.scalar(select(Storage).where(Storage.name == name)) is not None:
        raise Conflict(f"There is already a storage {name!r}.", "Choose another name.", field="name")
    known = instance.get(_PLAN)
    if known is not None and known["path"] == path:
        return _Plan(**{**known, "name": name})
    plan = _Plan(name, path, random.token_hex(8), random.token_hex(8), random.token_hex(16))
    instance.put(_PLAN, asdict(plan))
    return plan


def _require_empty(adapter: StorageAdapter, plan: _Plan) -> None:
    """Raise Refused if the folder holds more than an earlier try of this plan has left."""
    try:
        names = os.listdir(plan.path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(plan.path, error) from error
    marker = storages.read_marker(adapter)
    if marker == plan.marker_id:
        return
    if marker is not None:
        raise Refused(
            f"{plan.path} is the storage of another Holdfast, and there is no repository in it.",
            "Mount the right disk, or choose an empty folder. Nothing was written.",
        )
    foreign = sorted(name for name in names if not name.startswith(".") and name not in _IGNORED)
    if foreign:
        raise Refused(
            f"{plan.path} is not empty: it holds {foreign[0]!r}{' and more' if len(foreign) > 1 else ''}.",
            f"Choose a folder of its own, such as {plan.path}/holdfast. Nothing was written.",
        )


def _mark(adapter: StorageAdapter, plan: _Plan, *, adopting: bool) -> _Plan:
    """Leave the marker in the root; return the plan, with the marker's id that an adopted storage has."""
    found = storages.read_marker(adapter)
    if adopting and found:
        return _Plan(**{**asdict(plan), "marker_id": found})
    if found != plan.marker_id:
        text = json.dumps(
            {"storage": plan.marker_id, "made_by": "Holdfast", "made_at": utc_now().isoformat()}
        )
        adapter.put(storages.MARKER, text.encode())
    return plan


def _make_repository(adapter: StorageAdapter, plan: _Plan, password: str) -> Repository:
    inner = PrefixedAdapter(adapter, PREFIX)
    if _exists(inner, "config"):
        return _open(adapter, plan.path, password)
    # Keys without a config are what a killed try of this plan has left: the folder was empty before it.
    for key in list(inner.list("keys/")):
        inner.delete(key.key)
    return Repository.init(inner, password, kdf=storages.KDF)


def _open(adapter: StorageAdapter, path: str, password: str) -> Repository:
    try:
        return Repository.open(PrefixedAdapter(adapter, PREFIX), password)
    except WrongPassword as error:
        raise Refused(
            f"There is already a repository at {path}, and the recovery key does not open it.",
            "Give the key of that repository to adopt it, or choose an empty folder. Nothing was written.",
        ) from error
    except (NoRepository, Damaged) as error:
        raise Refused(
            words.ended(f"The repository at {path} cannot be opened: {error}"),
            "Repair it with restic, or choose an empty folder. Nothing was written.",
        ) from error


def _add_rows(plan: _Plan, repository_id: str, password: str) -> Storage:
    with write() as session:
        storage = Storage(
            id=plan.storage_id,
            name=plan.name,
            provider="local",
            settings={"path": plan.path},
            marker_id=plan.marker_id,
            initialised_at=utc_now(),
        )
        record = RepositoryRecord(
            id=plan.record_id,
            storage=storage,
            prefix=PREFIX,
            repository_id=repository_id,
            password_sealed=storages.seal_password(plan.record_id, password),
        )
        session.add_all((storage, record))
        instance.set_in(session, _PLAN, None)
        return storage


def _exists(adapter: StorageAdapter, key: str) -> bool:
    try:
        adapter.stat(key)
    except ObjectNotFound:
        return False
    return True


def _overlaps(one: str, other: str) -> bool:
    return os.path.commonpath((one, other)) in (one, other)


def _unusable(path: str, error: Exception) -> Refused:
    return Refused(
        words.ended(f"The folder {path} cannot be used: {error}"),
        "Let the user that Holdfast runs as write there, or choose another folder.",
    )
