"""Passwords: a new one is proven before an old one goes, and the one in use never does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repository import keys
from repository.crypto import new_master_key
from repository.errors import DamagedKey, RepositoryError, WrongPassword
from repository.files import list_files
from repository.key_commands import add_key, change_password, list_keys, remove_key
from repository.locks import lock_repository
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import CHEAP, PASSWORD, Restic, make_backup, new_local_repo, new_repo


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


def ids(repo: Repository) -> set[bytes]:
    return {file.id for file in list_files(repo.storage, "keys")}


class Shortening(MemoryAdapter):
    """Keeps less of a key than it says, once `lies`."""

    lies = False

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        super().put(key, data[:-20] if self.lies and key.startswith("keys/") else data)


def test_both_passwords_open_after_one_is_added() -> None:
    repo = new_repo()
    first = repo.key_id
    second = add_key(repo, "second", CHEAP)
    assert Repository.open(repo.storage, "second").key_id == second != first
    assert Repository.open(repo.storage, "second").key == Repository.open(repo.storage, PASSWORD).key
    assert [each.id for each in list_keys(repo)] == sorted([first, second])
    assert all(each.created and each.username and each.hostname for each in list_keys(repo))


def test_a_changed_password_opens_and_the_old_one_does_not() -> None:
    repo = new_repo()
    with lock_repository(repo, exclusive=True) as lock:
        new = change_password(repo, "new", lock, CHEAP)
    assert ids(repo) == {new}
    Repository.open(repo.storage, "new")
    with pytest.raises(WrongPassword):
        Repository.open(repo.storage, PASSWORD)


def test_the_old_key_stays_if_the_new_one_is_not_kept_whole() -> None:
    storage = Shortening()
    repo = new_repo(storage)
    old = repo.key_id
    storage.lies = True
    with (
        lock_repository(repo, exclusive=True) as lock,
        pytest.raises(DamagedKey, match="no password changed"),
    ):
        change_password(repo, "new", lock, CHEAP)
    assert ids(repo) == {old}


def test_a_key_is_removed_but_never_the_one_in_use() -> None:
    repo = new_repo()
    first, second = repo.key_id, add_key(repo, "second", CHEAP)
    with lock_repository(repo, exclusive=True) as lock:
        with pytest.raises(RepositoryError, match="in use"):
            remove_key(repo, first, lock)
        with pytest.raises(RepositoryError, match="no key 00000000"):
            remove_key(repo, bytes(32), lock)
        remove_key(repo, second, lock)
    assert ids(repo) == {first}


def test_no_key_is_removed_while_it_is_not_known_which_is_in_use() -> None:
    repo = new_repo()
    nameless = Repository(repo.storage, repo.key, repo.config)
    with lock_repository(nameless, exclusive=True) as lock, pytest.raises(RepositoryError, match="not known"):
        remove_key(nameless, repo.key_id, lock)
    assert ids(repo) == {repo.key_id}


def test_removing_needs_an_exclusive_lock() -> None:
    repo = new_repo()
    first = repo.key_id
    second = add_key(repo, "second", CHEAP)
    with lock_repository(repo) as lock:
        with pytest.raises(RepositoryError, match="exclusive"):
            remove_key(repo, second, lock)
        with pytest.raises(RepositoryError, match="exclusive"):
            change_password(repo, "third", lock, CHEAP)
    assert ids(repo) == {first, second}


def test_a_damaged_key_is_listed_as_such() -> None:
    repo = new_repo()
    repo.storage.put(f"keys/{'0' * 64}", b"{}")
    damaged = next(each for each in list_keys(repo) if each.id == bytes(32))
    assert "does not fit its name" in damaged.damaged
    assert Repository.open(repo.storage, PASSWORD).key_id == repo.key_id != bytes(32)


def test_restic_opens_with_it_and_we_with_its_own(tmp_path: Path, restic: str) -> None:
    repo, real = new_local_repo(tmp_path / "repo"), Restic(restic, tmp_path / "repo")
    (tmp_path / "file").write_bytes(b"x")
    make_backup(repo, tmp_path / "file")
    with lock_repository(repo, exclusive=True) as lock:
        change_password(repo, "ümläut", lock, CHEAP)
    (tmp_path / "new").write_text("of restic")
    real.run("key", "passwd", "--new-password-file", tmp_path / "new", RESTIC_PASSWORD="ümläut")
    opened = Repository.open(repo.storage, "of restic")
    assert ids(opened) == {opened.key_id}
    assert real.run("check", RESTIC_PASSWORD="of restic").returncode == 0


def test_a_key_says_when_it_was_made_as_restic_does(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryAdapter()
    monkeypatch.setattr("repository.keys.time.time_ns", lambda: 1_700_000_000_120_000_000)
    key_id = keys.add_key(storage, new_master_key(), "secret", CHEAP)
    stored = json.loads(storage.get(f"keys/{key_id.hex()}"))
    assert stored["created"] == "2023-11-14T22:13:20.12Z", "no zeros at the end: Go writes none"
