"""List, add, remove and replace the passwords of a repository: one key file each."""

from __future__ import annotations

from dataclasses import dataclass

from repository import keys
from repository.errors import Damaged, DamagedKey, RepositoryError, WrongPassword
from repository.files import list_files
from repository.ids import hash_bytes
from repository.keyfile import DEFAULT_KDF, KdfParams, KeyFile, open_key_file
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


def find_key(repo: Repository, password: str) -> bytes:
    """Return the id of the key file that this password opens; each one tried costs a scrypt.

    Raises WrongPassword if none is this repository's.
    """
    for file in sorted(list_files(repo.storage, "keys")):
        try:
            if opens(repo, file.id, password):
                return file.id
        except (DamagedKey, ObjectNotFound):
            continue
    raise WrongPassword("the password opens none of the keys of this repository")


def opens(repo: Repository, key_id: bytes, password: str) -> bool:
    """Tell whether a key file as stored gives this master key. Raises DamagedKey, ObjectNotFound."""
    data = repo.storage.get(_name(key_id))
    try:
        return hash_bytes(data) == key_id and open_key_file(data, password) == repo.key
    except WrongPassword:
        return False


def add_key(repo: Repository, password: str, kdf: KdfParams = DEFAULT_KDF) -> bytes:
    """Store a key file for one more password and return its id; raises as keys.add_key."""
    return keys.add_key(repo.storage, repo.key, password, kdf)


def remove_key(repo: Repository, key_id: bytes, in_use: bytes, lock: Lock) -> None:
    """Delete a key file, never the one in use, under an exclusive lock that the caller holds.

    Raises RepositoryError for the key in use and for one that does not exist.
    """
    _require_exclusive(lock)
    if key_id == in_use:
        raise RepositoryError(
            f"the key {key_id.hex()[:8]} is the one in use. To remove it, open with another password"
        )
    if key_id not in {file.id for file in list_files(repo.storage, "keys")}:
        raise RepositoryError(f"there is no key {key_id.hex()[:8]}; list the keys to see their ids")
    lock.check()
    repo.storage.delete(_name(key_id))


def change_password(
    repo: Repository, in_use: bytes, password: str, lock: Lock, kdf: KdfParams = DEFAULT_KDF
) -> bytes:
    """Put a key for a new password in the place of the one in use, under an exclusive lock; return its id.

    The old one goes only after the new one was seen to open; killed in between, both open. The data is not
    encrypted anew: whoever has kept the old key file and password can still read it.
    """
    _require_exclusive(lock)
    new_id = add_key(repo, password, kdf)
    remove_key(repo, in_use, new_id, lock)
    return new_id


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
