"""Seal values with the app's master key: AES-256-GCM, bound to the table, row and column they stand in."""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = "v1"
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value cannot be opened: another master key, another place, or altered."""


class _Ring:
    """The master keys of this process: the first seals, all open. Filled once by core.app_state.prepare."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"<{len(self.keys)} master keys>"

    def current(self) -> tuple[str, bytes]:
        for key_id, key in self.keys.items():
            return key_id, key
        raise RuntimeError("no master key yet: core.app_state.prepare comes first")


_ring = _Ring()


def use_master_key(text: str) -> str:
    """Take `text` (environment or key file) as this process's master key; return the key's id."""
    master = _hkdf(text.encode(), "holdfast master key")
    key_id = _hkdf(master, "holdfast key id")[:4].hex()
    _ring.keys = {key_id: master}
    return key_id


def derive(purpose: str) -> bytes:
    """Return the 32-byte sub-key for `purpose`, such as "session" or "csrf"."""
    return _hkdf(_ring.current()[1], f"holdfast {purpose}")


def seal(text: str, *, table: str, row: str | int, column: str) -> str:
    """Return `text` encrypted: `v1.<key id>.<base64>`. It opens only in the same place."""
    key_id, master = _ring.current()
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _cipher(master).encrypt(nonce, text.encode(), _place(key_id, table, row, column))
    return f"{_VERSION}.{key_id}.{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(sealed: str, *, table: str, row: str | int, column: str) -> str:
    """Return the text that was sealed for this place. Raises SealBroken."""
    key_id, data = _parse(sealed)
    master = _ring.keys.get(key_id)
    if master is None:
        raise SealBroken(f"a value of {table} is sealed with master key {key_id}, which this process lacks")
    try:
        plain = _cipher(master).decrypt(
            data[:_NONCE_BYTES], data[_NONCE_BYTES:], _place(key_id, table, row, column)
        )
    except InvalidTag as error:
        raise SealBroken(
            f"the sealed value of {table}.{column} does not belong there or was altered"
        ) from error
    return plain.decode()


def _parse(sealed: str) -> tuple[str, bytes]:
    try:
        version, key_id, data = sealed.split(".")
        raw = base64.b64decode(data, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise SealBroken("a sealed value is not of the form v1.<key id>.<data>") from error
    if version != _VERSION or len(raw) <= _NONCE_BYTES:
        raise SealBroken(f"a sealed value has the unknown version {version!r}, or is cut")
    return key_id, raw


def _cipher(master: bytes) -> AESGCM:
    return AESGCM(_hkdf(master, "holdfast seal"))


def _place(key_id: str, *parts: str | int) -> bytes:
    """Return the associated data; each part with its length, so that no two places look alike."""
    return b"".join(
        len(text).to_bytes(4, "big") + text for text in (str(p).encode() for p in (key_id, *parts))
    )


def _hkdf(key: bytes, info: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info.encode()).derive(key)
