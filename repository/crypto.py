"""Sealing: AES-256-CTR with a Poly1305-AES tag (restic-format.md, section 4)."""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from repository.errors import Damaged
from repository.jsontext import Fields, load_object

IV_BYTES = 16
TAG_BYTES = 16
OVERHEAD = IV_BYTES + TAG_BYTES

_ZERO_IV = bytes(IV_BYTES)
_R_MASK = int("0ffffffc0ffffffc0ffffffc0fffffff", 16)  # little-endian, as Poly1305 clamps

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, repr=False)
class MasterKey:
    """The three keys that everything in a repository is sealed with."""

    encrypt: bytes  # 32
    mac_k: bytes  # 16
    mac_r: bytes  # 16

    def __post_init__(self) -> None:
        if (len(self.encrypt), len(self.mac_k), len(self.mac_r)) != (32, 16, 16):
            raise ValueError("a master key is 32, 16 and 16 bytes")

    def __repr__(self) -> str:
        return "MasterKey(…)"

    def to_json(self) -> bytes:
        """Return the text that a key file seals, in restic's order."""
        mac = {"k": _b64(self.mac_k), "r": _b64(self.mac_r)}
        return json.dumps({"mac": mac, "encrypt": _b64(self.encrypt)}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> MasterKey:
        """Read the text of a key file. Raises Damaged, also for a key of all zeros, which restic refuses."""
        fields = load_object(data, "the master key")
        mac = Fields(fields.values.get("mac"), "the master key")
        parts = (_unb64(fields, "encrypt", 32), _unb64(mac, "k", 16), _unb64(mac, "r", 16))
        if not all(any(part) for part in parts):
            raise Damaged("the master key holds a key of all zeros")
        return cls(*parts)


def new_master_key() -> MasterKey:
    """Make a random key; r is masked, as restic before 0.17 wants it."""
    r = int.from_bytes(os.urandom(16), "little") & _R_MASK
    return MasterKey(os.urandom(32), os.urandom(16), r.to_bytes(16, "little"))


def seal(key: MasterKey, plaintext: Buffer) -> bytes:
    """Encrypt and authenticate: iv ‖ ciphertext ‖ tag, OVERHEAD bytes longer than `plaintext`."""
    contexts = _contexts(key)
    iv = os.urandom(IV_BYTES)
    while iv == _ZERO_IV:
        iv = os.urandom(IV_BYTES)
    contexts.ctr.reset_nonce(iv)
    ciphertext = contexts.ctr.update(plaintext)
    tag = Poly1305.generate_tag(key.mac_r + contexts.ecb.update(iv), ciphertext)
    return b"".join((iv, ciphertext, tag))


def unseal(key: MasterKey, sealed: Buffer) -> bytes:
    """Check the tag, then decrypt. Raises Damaged if it is too short, was altered, or is of another key."""
    authenticate(key, sealed)
    return decrypt(key, sealed)


def authenticate(key: MasterKey, sealed: Buffer) -> None:
    """Check the tag alone, for an eighth of what decrypting costs. Raises Damaged as `unseal` does."""
    view = memoryview(sealed)
    if len(view) < OVERHEAD:
        raise Damaged(f"sealed data is {len(view)} bytes, shorter than the {OVERHEAD} that sealing adds")
    iv = bytes(view[:IV_BYTES])
    if iv == _ZERO_IV:
        raise Damaged("sealed data starts with an IV of zeros, which no writer makes")
    tag_key = key.mac_r + _contexts(key).ecb.update(iv)
    _verify(tag_key, view[IV_BYTES:-TAG_BYTES], bytes(view[-TAG_BYTES:]))


def authenticate_all(key: MasterKey, sealed: memoryview, bounds: Iterable[int]) -> None:
    """Check the tags of sealed blobs that stand one behind the other, between each two of these places.

    It costs half of what `authenticate` costs for each. Raises Damaged as that does.
    """
    places = list(pairwise(bounds))
    if any(end - start < OVERHEAD for start, end in places):
        raise Damaged(f"sealed data is shorter than the {OVERHEAD} bytes that sealing adds")
    ivs = b"".join([sealed[start : start + IV_BYTES] for start, _ in places])
    pads = _contexts(key).ecb.update(ivs)
    for at, (start, end) in zip(range(0, len(pads), IV_BYTES), places, strict=True):
        if ivs[at : at + IV_BYTES] == _ZERO_IV:
            raise Damaged("sealed data starts with an IV of zeros, which no writer makes")
        tag_key, tag = key.mac_r + pads[at : at + IV_BYTES], bytes(sealed[end - TAG_BYTES : end])
        _verify(tag_key, sealed[start + IV_BYTES : end - TAG_BYTES], tag)


def decrypt(key: MasterKey, sealed: Buffer) -> bytes:
    """Decrypt without a look at the tag: only where that is checked as well."""
    view = memoryview(sealed)
    contexts = _contexts(key)
    contexts.ctr.reset_nonce(bytes(view[:IV_BYTES]))
    plaintext: bytes = contexts.ctr.update(view[IV_BYTES:-TAG_BYTES])
    return plaintext


class _Contexts(threading.local):
    """The cipher contexts of the key last used in this thread: making them costs more than a small blob."""

    key: MasterKey | None = None
    ecb: CipherContext
    ctr: Any  # CipherContext.reset_nonce is missing in older type stubs

    def use(self, key: MasterKey) -> None:
        self.ecb = Cipher(algorithms.AES(key.mac_k), modes.ECB()).encryptor()  # noqa: S305 - one block: the Poly1305-AES nonce
        self.ctr = Cipher(algorithms.AES(key.encrypt), modes.CTR(_ZERO_IV)).encryptor()
        self.key = key


_local = _Contexts()


def _contexts(key: MasterKey) -> _Contexts:
    if _local.key is not key:
        _local.use(key)
    return _local


def _verify(tag_key: bytes, ciphertext: memoryview, tag: bytes) -> None:
    try:
        Poly1305.verify_tag(tag_key, ciphertext, tag)
    except InvalidSignature as err:
        raise Damaged(
            "sealed data fails its authentication tag: altered, or sealed with another key"
        ) from err


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(fields: Fields, name: str, size: int) -> bytes:
    try:
        value = base64.b64decode(fields.text(name), validate=True)
    except (binascii.Error, ValueError) as err:
        raise Damaged(f"{fields.what}: {name!r} is not base64") from err
    if len(value) != size:
        raise Damaged(f"{fields.what}: {name!r} is {len(value)} bytes, not {size}")
    return value
