"""The key files of a repository, and what stands where `init` wants to write."""

from __future__ import annotations

import logging
import threading
import time

from repository.crypto import MasterKey
from repository.errors import DamagedKey, NoRepository, RepositoryExists, WrongPassword
from repository.files import list_files, local_identity, read_named
from repository.gotext import UTC_ZONE, format_time
from repository.ids import hash_bytes
from repository.keyfile import KdfParams, make_key_file, open_key_file
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import ObjectNotFound, StorageError

logger = logging.getLogger(__name__)

MAX_KEYS_TRIED = 20  # as restic: each try costs the price of scrypt


class KeySearch:
    """A search for the key that goes on in a thread: scrypt takes a third of a second, and lets others run.

    See find_key. The program may end before it has.
    """

    def __init__(self, storage: StorageAdapter, password: str) -> None:
        self.storage = storage
        self._found: tuple[bytes, MasterKey] | BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(password,), name="key", daemon=True)
        self._thread.start()

    def result(self) -> tuple[bytes, MasterKey]:
        """Wait, and return or raise what find_key does."""
        self._thread.join()
        if self._found is None or isinstance(self._found, BaseException):
            raise self._found or RuntimeError("the search for the key has ended without a result")
        return self._found

    def _run(self, password: str) -> None:
        try:
            self._found = find_key(self.storage, password)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the key raises it
            self._found = error


def require_vacant(storage: StorageAdapter) -> None:
    """Raise RepositoryExists if a config, a key or a snapshot is there."""
    try:
        storage.stat("config")
    except ObjectNotFound:
        pass
    else:
        raise RepositoryExists("there is a repository already (a file named config); nothing was written")
    for kind in ("keys", "snapshots"):
        if any(True for _ in storage.list(kind + "/")):
            raise RepositoryExists(
                f"there are {kind} of a repository but no config; nothing was written. "
                "If the config was lost, restore it; if this is a leftover of an init, remove the folder"
            )


def add_key(storage: StorageAdapter, master: MasterKey, password: str, kdf: KdfParams) -> bytes:
    """Store a key file that opens `master` with `password`, prove that it does, and return its id.

    When it raises (StorageError, DamagedKey), no key file is left, as far as the storage allows: restic gives
    up at one that it cannot read.
    """
    hostname, username = local_identity()
    created = format_time(time.time_ns(), UTC_ZONE)
    data = make_key_file(master, password, kdf, username=username, hostname=hostname, created=created)
    if open_key_file(data, password) != master:
        raise DamagedKey("a new key file does not open as it was written; nothing was stored")
    key_id = hash_bytes(data)
    name = f"keys/{key_id.hex()}"
    try:
        storage.put(name, data)
        if storage.get(name) != data:
            raise DamagedKey(f"the storage did not keep {name} whole; no password changed")
    except (StorageError, DamagedKey):
        _discard(storage, name)
        raise
    return key_id


def _discard(storage: StorageAdapter, name: str) -> None:
    try:
        storage.delete(name)
    except StorageError as error:
        logger.warning("%s was not stored well and could not be removed: %s", name, error)


def find_key(storage: StorageAdapter, password: str) -> tuple[bytes, MasterKey]:
    """Return the id of the first key file that opens, and the master key in it.

    A damaged key file does not keep the others from being tried. Raises NoRepository if there is none,
    WrongPassword if none opens, DamagedKey if that may be because one is damaged.
    """
    ids = sorted(file.id for file in list_files(storage, "keys"))
    if not ids:
        raise NoRepository("there is a config here, but no key file: without one nothing can be read")
    damaged = []
    for key_id in ids[:MAX_KEYS_TRIED]:
        try:
            return key_id, _open_key(storage, key_id, password)
        except DamagedKey as error:
            damaged.append(error)
        except (WrongPassword, ObjectNotFound):
            continue
    if damaged:
        raise damaged[0]
    raise WrongPassword(f"the password opens none of the {len(ids)} keys of this repository")


def _open_key(storage: StorageAdapter, key_id: bytes, password: str) -> MasterKey:
    name = f"keys/{key_id.hex()}"
    data = read_named(storage, name, key_id)
    try:
        return open_key_file(data, password)
    except DamagedKey as error:
        raise DamagedKey(f"the file {name} is damaged: {error}") from error
    except WrongPassword as error:
        if hash_bytes(data) == key_id:
            raise
        raise DamagedKey(f"the file {name} is damaged: its content does not fit its name") from error
