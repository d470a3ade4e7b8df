"""Key files: restic's and rustic's open, damage is told from a wrong password."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from repository.crypto import MasterKey, new_master_key, seal, unseal
from repository.errors import DamagedKey, WrongPassword
from repository.keyfile import DEFAULT_KDF, KdfParams, KeyFile, make_key_file, open_key_file
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents

CHEAP = KdfParams(n=2, r=1, p=1)
CREATED = "2026-11-23T02:07:04.661305835Z"
MASTER = new_master_key()
KEY_FILE = make_key_file(MASTER, "secret", CHEAP, username="anna", hostname="büro", created=CREATED)


def changed(**fields: object) -> bytes:
    """Return the key file with some fields set otherwise; None removes."""
    document = json.loads(KEY_FILE) | fields
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def test_every_key_file_of_restic_and_rustic_opens(vectors: dict[str, Any]) -> None:
    for row in vectors["keys"]:
        text = row["key_file_json"].encode()
        assert hashlib.sha256(text).hexdigest() == row["file_name_sha256"]
        key_file = KeyFile.decode(text)
        master = open_key_file(text, row["password"])
        assert master == MasterKey.from_json(row["master_json"].encode())
        assert master.to_json() == row["master_json"].encode()
        assert key_file.encode() == text or not key_file.created
        scrypt = bytes.fromhex(row["scrypt_64"])
        user_key = MasterKey(scrypt[:32], scrypt[32:48], scrypt[48:])
        assert unseal(user_key, key_file.data) == row["master_json"].encode()


@pytest.mark.parametrize(("name", "password"), [("key1", "test"), ("key2", "test2")])
def test_the_rustic_key_files_open(fixtures_dir: Path, name: str, password: str) -> None:
    text = (fixtures_dir / "rustic-keys" / name).read_bytes()
    assert KeyFile.decode(text).created == ""
    assert open_key_file(text, password).to_json().startswith(b'{"mac":{"k":"t0cusSHJr')


def test_the_damaged_rustic_key_is_not_called_a_wrong_password(fixtures_dir: Path) -> None:
    with pytest.raises(DamagedKey, match="scrypt"):
        open_key_file((fixtures_dir / "rustic-keys" / "key-failing").read_bytes(), "test")


@pytest.mark.parametrize(
    "password", ["", "secret", "pässwörd \U0001f600", "\udcff from the environment", "a\0b"]
)
def test_a_new_key_file_opens_with_its_password_only(password: str) -> None:
    text = make_key_file(MASTER, password, CHEAP, username="u", hostname="h", created=CREATED)
    assert open_key_file(text, password) == MASTER
    with pytest.raises(WrongPassword):
        open_key_file(text, password + "x")


def test_bytes_of_a_password_that_are_no_text_are_told_apart() -> None:
    text = make_key_file(MASTER, "\udcff", CHEAP, username="u", hostname="h", created=CREATED)
    for other in ("?", "\udcfe", "\ufffd"):
        with pytest.raises(WrongPassword):
            open_key_file(text, other)


def test_it_keeps_who_made_it_and_restics_order() -> None:
    key_file = KeyFile.decode(KEY_FILE)
    assert (key_file.created, key_file.username, key_file.hostname) == (CREATED, "anna", "büro")
    assert key_file.kdf == CHEAP
    assert key_file.encode() == KEY_FILE
    names = ["created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"]
    assert list(json.loads(KEY_FILE)) == names


def test_the_default_cost_is_in_restics_class() -> None:
    assert KdfParams(32768, 8, 6) == DEFAULT_KDF
    DEFAULT_KDF.check()


@pytest.mark.parametrize(
    "fields",
    [
        {"N": 3},
        {"N": 1},
        {"N": 0},
        {"N": -2},
        {"N": 2**16, "r": 1},
        {"r": 0},
        {"p": 0},
        {"N": 2**30},
        {"N": 2**20, "r": 8},
        {"p": 2**30},
        {"r": 2**31},
        {"N": "2"},
        {"N": 2**200},
        {"kdf": "argon2"},
        {"kdf": None},
        {"salt": "AAAA"},
        {"salt": "!"},
        {"salt": None},
        {"data": "é"},
        {"data": "AAA"},
    ],
)
def test_impossible_or_unaffordable_fields_are_damage(fields: dict[str, object]) -> None:
    with pytest.raises(DamagedKey):
        open_key_file(changed(**fields), "secret")


@pytest.mark.parametrize("kdf", [KdfParams(2**16, 1, 1), KdfParams(2**18, 8, 64), KdfParams(2**20, 8, 1)])
def test_a_cost_is_refused_before_it_is_paid(kdf: KdfParams) -> None:
    with pytest.raises(DamagedKey, match="parameters"):
        kdf.check()
    with pytest.raises(DamagedKey):
        KeyFile.decode(changed(N=kdf.n, r=kdf.r, p=kdf.p))


def test_a_password_that_fits_a_broken_master_key_is_damage() -> None:
    key_file = KeyFile.decode(KEY_FILE)
    raw = hashlib.scrypt(b"secret", salt=key_file.salt, n=2, r=1, p=1, dklen=64)
    user_key = MasterKey(raw[:32], raw[32:48], raw[48:])
    for plaintext in (b"", b"{}", b'{"mac":1,"encrypt":"x"}', MASTER.to_json()[:-1]):
        data = base64.b64encode(seal(user_key, plaintext)).decode()
        with pytest.raises(DamagedKey, match="opens the key file, but"):
            open_key_file(changed(data=data), "secret")


def test_new_key_files_are_checked_before_they_are_made() -> None:
    with pytest.raises(DamagedKey):
        make_key_file(MASTER, "x", KdfParams(n=3), username="", hostname="", created=CREATED)
    with pytest.raises(ValueError, match="time"):
        make_key_file(MASTER, "x", CHEAP, username="", hostname="", created="yesterday")


def test_nothing_secret_is_in_its_repr() -> None:
    document = json.loads(KEY_FILE)
    shown = repr(KeyFile.decode(KEY_FILE))
    assert document["data"][:8] not in shown
    assert repr(base64.b64decode(document["salt"]))[2:10] not in shown


@given(mutations(KEY_FILE))
@settings(max_examples=300)
def test_mutated_key_files_are_damaged_or_do_not_open(data: bytes) -> None:
    with contextlib.suppress(DamagedKey, WrongPassword):
        assert open_key_file(data, "secret") == MASTER


def test_hostile_key_files_are_damaged() -> None:
    for data in (*HOSTILE_TEXTS, b" " * 100_000 + KEY_FILE):
        with pytest.raises(DamagedKey):
            KeyFile.decode(data)
    for data in odd_documents(KEY_FILE):
        with contextlib.suppress(DamagedKey):
            KeyFile.decode(data)
