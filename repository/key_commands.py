"""List, add, remove and replace the passwords of a repository: one key file each."""

from __future__ import annotations

from dataclasses import dataclass

from repository import keys
from repository.errors import Damaged, DamagedKey, RepositoryError
from repository.files import list_files
from repository.ids import hash_bytes
from repository.keyfile import DEFAULT_KDF, KdfParams, KeyFile
from repository.locks import Lock
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key file as listed; `damaged` says why it cannot be used."""

    id: bytes
    created: str = ""
    username: str = ""
    hostname: str = ""
    damaged: str = ""


def list_keys(repo: Repository) -> list[KeyInfo]:
    """Return all key files, by id."""
    found = []
    for file in sorted(list_files(repo.storage, "keys")):
        try:
            key = _load(repo, file.id)
        except ObjectNotFound:
            continue  # removed meanwhile
        except Damaged as error:
            found.append(KeyInfo(file.id, damaged=str(error)))
        else:
            found.append(KeyInfo(file.id, key.created, key.username, key.hostname))
    return found


def add_key(repo: Repository, password: str, kdf: KdfParams = DEFAULT_KDF) -> bytes:
    """Store a key file for one more password and return its id; raises as keys.add_key."""
    return keys.add_key(repo.storage, repo.key, password, kdf)


def remove_key(repo: Repository, key_id: bytes, lock: Lock) -> None:
    """Delete a key file, under an exclusive lock that the caller holds.

    Raises RepositoryError for the key that `repo` was opened with, and for one that does not exist.
    """
    _require_exclusive(lock)
    if not repo.key_id:
        raise RepositoryError("it is not known which key is in use, so none is removed; open with a password")
    if key_id == repo.key_id:
        raise RepositoryError(
            f"the key {key_id.hex()[:8]} is the one in use. To remove it, open with another password"
        )
    if key_id not in {file.id for file in list_files(repo.storage, "keys")}:
        raise RepositoryError(f"there is no key {key_id.hex()[:8]}; list the keys to see their ids")
    lock.check()
    repo.storage.delete(_name(key_id))


def change_password(repo: Repository, password: str, lock: Lock, kdf: KdfParams = DEFAULT_KDF) -> bytes:
    """Put a key for a new password in the place of the one in use, under an exclusive lock; return its id.

    The old one goes only after the new one was seen to open; killed in between, both open. The data is not
    encrypted anew: whoever has kept the old key file and password can still read it.
    """
    _require_exclusive(lock)
    old_id = repo.key_id
    repo.key_id = add_key(repo, password, kdf)
    remove_key(repo, old_id, lock)
    return repo.key_id


def _require_exclusive(lock: Lock) -> None:
    if not lock.exclusive:
        raise RepositoryError("removing a key needs an exclusive lock, and this one is shared")


def _load(repo: Repository, key_id: bytes) -> KeyFile:
    data = repo.storage.get(_name(key_id))
    if hash_bytes(data) != key_id:
        raise DamagedKey("its content does not fit its name")
    return KeyFile.decode(data)


def _name(key_id: bytes) -> str:
    return f"keys/{key_id.hex()}"
