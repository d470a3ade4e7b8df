"""Sealing: restic's vectors, and whatever is altered is refused."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st

from repository.crypto import OVERHEAD, MasterKey, new_master_key, seal, unseal
from repository.errors import Damaged

KEY = MasterKey(bytes(range(32)), bytes(range(16)), bytes(range(16, 32)))
SEALED = seal(KEY, b"some content")


def tagged(key: MasterKey, iv: bytes, ciphertext: bytes) -> bytes:
    """Seal by the letter of the format, without the code under test."""
    one_time = key.mac_r + Cipher(algorithms.AES(key.mac_k), modes.ECB()).encryptor().update(iv)
    return iv + ciphertext + Poly1305.generate_tag(one_time, ciphertext)


def test_it_agrees_with_the_poly1305_aes_vectors(vectors: dict[str, Any]) -> None:
    for row in vectors["poly1305_aes"]:
        message, r, k, nonce, mac, one_time = (
            bytes.fromhex(row[name]) for name in ("msg", "r", "k", "nonce", "mac", "one_time_key")
        )
        key = MasterKey(bytes(range(32)), k, r)
        sealed = nonce + message + mac
        assert tagged(key, nonce, message) == sealed
        assert one_time.startswith(r)
        decrypted = Cipher(algorithms.AES(key.encrypt), modes.CTR(nonce)).decryptor().update(message)
        assert unseal(key, sealed) == decrypted


def test_it_opens_what_restic_sealed(vectors: dict[str, Any]) -> None:
    (row,) = vectors["seal"]
    key = MasterKey(*(bytes.fromhex(row[name]) for name in ("encrypt", "mac_k", "mac_r")))
    assert unseal(key, bytes.fromhex(row["sealed"])) == row["plaintext_ascii"].encode()


@given(st.binary(max_size=200))
def test_what_is_sealed_opens_again(plaintext: bytes) -> None:
    sealed = seal(KEY, plaintext)
    assert len(sealed) == len(plaintext) + OVERHEAD
    assert sealed == tagged(KEY, sealed[:16], sealed[16:-16])
    assert unseal(KEY, sealed) == plaintext


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_each_altered_byte_is_noticed(place: int, change: int) -> None:
    altered = bytearray(SEALED)
    altered[place] ^= change
    with pytest.raises(Damaged):
        unseal(KEY, altered)


@pytest.mark.parametrize("length", [*range(OVERHEAD), len(SEALED) - 1])
def test_a_truncated_text_is_refused(length: int) -> None:
    with pytest.raises(Damaged):
        unseal(KEY, SEALED[:length])


def test_a_zero_iv_is_refused_even_with_a_right_tag() -> None:
    with pytest.raises(Damaged, match="zeros"):
        unseal(KEY, tagged(KEY, bytes(16), b"content"))


def test_another_key_does_not_open_it() -> None:
    for other in (new_master_key(), MasterKey(KEY.encrypt, KEY.mac_k, bytes(16))):
        with pytest.raises(Damaged):
            unseal(other, SEALED)
    assert unseal(KEY, SEALED) == b"some content"  # the cached contexts change back


def test_no_iv_is_used_twice() -> None:
    assert len({seal(KEY, b"x")[:16] for _ in range(1000)}) == 1000


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_it_takes_any_buffer(form: type) -> None:
    assert unseal(KEY, form(seal(KEY, form(b"content")))) == b"content"


def test_threads_do_not_disturb_each_other() -> None:
    keys = [new_master_key() for _ in range(3)]

    def work(number: int) -> bool:
        key, text = keys[number % 3], bytes([number % 251]) * (number * 37 % 5000)
        return unseal(key, seal(key, text)) == text

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(2000)))


def test_a_new_key_is_random_masked_and_survives_its_text() -> None:
    key = new_master_key()
    assert key != new_master_key()
    assert not any(key.mac_r[i] & 0xF0 for i in (3, 7, 11, 15))
    assert not any(key.mac_r[i] & 0x03 for i in (4, 8, 12))
    assert MasterKey.from_json(key.to_json()) == key
    assert pickle.loads(pickle.dumps(key)) == key


def test_a_raw_r_of_newer_restic_gives_the_same_tags_as_its_masked_form() -> None:
    raw = MasterKey(KEY.encrypt, KEY.mac_k, b"\xff" * 16)
    masked = MasterKey(KEY.encrypt, KEY.mac_k, bytes.fromhex("ffffff0ffcffff0ffcffff0ffcffff0f"))
    assert unseal(raw, seal(masked, b"content")) == b"content"


def test_a_key_shows_itself_nowhere() -> None:
    for text in (repr(KEY), str(KEY), f"{[KEY]}"):
        assert text.strip("[]") == "MasterKey(…)"


def test_a_key_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32, 16 and 16"):
        MasterKey(bytes(31), bytes(16), bytes(16))


@pytest.mark.parametrize("zero", ["encrypt", "mac_k", "mac_r"])
def test_a_key_of_zeros_is_refused(zero: str) -> None:
    parts = {"encrypt": b"e" * 32, "mac_k": b"k" * 16, "mac_r": b"r" * 16}
    parts[zero] = bytes(len(parts[zero]))
    with pytest.raises(Damaged, match="zeros"):
        MasterKey.from_json(MasterKey(**parts).to_json())
