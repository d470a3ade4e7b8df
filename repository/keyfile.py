"""Key files: the master key, sealed with what scrypt makes of a password (restic-format.md, section 3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field

from repository.crypto import MasterKey, seal, unseal
from repository.errors import Damaged, DamagedKey, WrongPassword
from repository.gotext import go_string, is_time
from repository.jsontext import Fields, load_object

SALT_BYTES = 64
MAX_KEY_FILE = 64 * 1024
MAX_KDF_MEMORY = 512 * 1024 * 1024
MAX_KDF_WORK = 2**25  # N·r·p; about ten times what rustic and restic choose


@dataclass(frozen=True, slots=True)
class KdfParams:
    """The cost of scrypt. Memory is 128·n·r bytes."""

    n: int = 32768
    r: int = 8
    p: int = 6

    @property
    def memory_bytes(self) -> int:
        """What OpenSSL needs to compute it, without slack."""
        return 128 * self.n * self.r + 128 * self.r * self.p

    def check(self) -> None:
        """Raise DamagedKey unless scrypt allows these values and they are affordable."""
        fits = self.n > 1 and self.n & (self.n - 1) == 0 and self.r > 0 and self.p > 0
        # RFC 7914: N < 2^(128·r/8), and r·p < 2^30 (far above our own limit)
        if not fits or (self.r < 4 and self.n >= 2 ** (16 * self.r)):
            raise DamagedKey(f"the key file asks for scrypt parameters that do not exist: {self}")
        if self.memory_bytes > MAX_KDF_MEMORY or self.n * self.r * self.p > MAX_KDF_WORK:
            raise DamagedKey(f"the key file asks for scrypt parameters beyond the allowed cost: {self}")


DEFAULT_KDF = KdfParams()


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key file as stored; `created`, `username` and `hostname` are for listing and may be empty."""

    created: str
    username: str
    hostname: str
    kdf: KdfParams
    salt: bytes = field(repr=False)
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the JSON text in restic's order."""
        kdf = self.kdf
        return (
            f'{{"created":{go_string(self.created)},"username":{go_string(self.username)},'
            f'"hostname":{go_string(self.hostname)},"kdf":"scrypt","N":{kdf.n},"r":{kdf.r},"p":{kdf.p},'
            f'"salt":"{_b64(self.salt)}","data":"{_b64(self.data)}"}}'
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> KeyFile:
        """Read a key file. Raises DamagedKey."""
        try:
            return cls._decode(data)
        except DamagedKey:
            raise
        except Damaged as err:
            raise DamagedKey(str(err)) from err

    @classmethod
    def _decode(cls, data: bytes) -> KeyFile:
        if len(data) > MAX_KEY_FILE:
            raise DamagedKey(f"the key file is {len(data)} bytes, more than any key file")
        fields = load_object(data, "the key file")
        if fields.text("kdf") != "scrypt":
            raise DamagedKey(f"the key file names an unknown kdf: {fields.text('kdf')[:40]!r}")
        kdf = KdfParams(*(fields.integer(name, maximum=2**31) for name in ("N", "r", "p")))
        kdf.check()
        salt = _unb64(fields, "salt")
        if len(salt) != SALT_BYTES:
            raise DamagedKey(f"the key file's salt is {len(salt)} bytes, not {SALT_BYTES}")
        texts = (fields.text("created"), fields.text("username"), fields.text("hostname"))
        return cls(*texts, kdf, salt, _unb64(fields, "data"))


def make_key_file(
    master: MasterKey,
    password: str,
    params: KdfParams = DEFAULT_KDF,
    *,
    username: str,
    hostname: str,
    created: str,
) -> bytes:
    """Seal `master` with `password` and return the text of a key file; `created` is an RFC 3339 time."""
    params.check()
    if not is_time(created):
        raise ValueError(f"not an RFC 3339 time: {created!r}")
    salt = os.urandom(SALT_BYTES)
    data = seal(_derive(password, salt, params), master.to_json())
    return KeyFile(created, username, hostname, params, salt, data).encode()


def open_key_file(data: bytes, password: str) -> MasterKey:
    """Return the master key. Raises WrongPassword; DamagedKey if the file cannot be of the format."""
    key_file = KeyFile.decode(data)
    user_key = _derive(password, key_file.salt, key_file.kdf)
    try:
        plaintext = unseal(user_key, key_file.data)
    except Damaged as err:
        raise WrongPassword("this password does not open the key file") from err
    try:
        return MasterKey.from_json(plaintext)
    except Damaged as err:
        raise DamagedKey(f"the password opens the key file, but {err}") from err


def _derive(password: str, salt: bytes, kdf: KdfParams) -> MasterKey:
    # surrogateescape: a password read from the environment keeps its own bytes
    secret = password.encode("utf-8", "surrogateescape")
    maxmem = kdf.memory_bytes + 2**20  # the default of 32 MiB is below restic's own choice
    try:
        raw = hashlib.scrypt(secret, salt=salt, n=kdf.n, r=kdf.r, p=kdf.p, maxmem=maxmem, dklen=64)
    except ValueError as err:
        raise DamagedKey(f"scrypt refuses the key file's parameters {kdf}: {err}") from err
    return MasterKey(raw[:32], raw[32:48], raw[48:])


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(fields: Fields, name: str) -> bytes:
    try:
        return base64.b64decode(fields.text(name), validate=True)
    except (binascii.Error, ValueError) as err:
        raise DamagedKey(f"{fields.what}: {name!r} is not base64") from err
