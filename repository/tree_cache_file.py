"""The file of the unchanged-tree cache: what it belongs to, and a record for each directory.

    sealed( MAGIC ‖ length of the context, u32 ‖ context, JSON ‖ records of 96 bytes )

A record: fingerprint of the directory and all below (32) ‖ tree id (32) ‖ files, bytes, folders, others below
it (u64 each), little-endian. It is sealed with keys of its own, made from the master key: whoever may write
to the cache's folder, and may read the repository's sealed data, can still not make one.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

from repository.crypto import MasterKey, seal, unseal
from repository.errors import Damaged

_MAGIC = b"holdfast unchanged trees 1\n"
_LENGTH = struct.Struct("<I")
_COUNTS = struct.Struct("<4Q")
_ID = 32
_RECORD = _ID + _ID + _COUNTS.size

Packed = dict[bytes, bytes]  # fingerprint -> the rest of its record; unpacked only when asked for


class Known(NamedTuple):
    """An unchanged directory: its tree, and how much is in it and below."""

    tree: bytes
    files: int
    size_bytes: int
    folders: int
    others: int

    def pack(self) -> bytes:
        """Return a record without its fingerprint."""
        return self.tree + _COUNTS.pack(*self[1:])

    @classmethod
    def unpack(cls, packed: bytes) -> Known:
        """Read what `pack` made."""
        return cls(packed[:_ID], *_COUNTS.unpack_from(packed, _ID))


@dataclass(frozen=True, slots=True)
class Context:
    """What the records hold for, ids and hashes in hex.

    `index` are the index files that list every blob which the trees name, `began_ns` is when the source was
    first looked at.
    """

    repository: str
    source: str
    zone: str
    program: str
    snapshot: str
    began_ns: int
    index: list[str]


def encode(key: MasterKey, context: Context, records: Packed) -> bytes:
    """Return the file's bytes."""
    head = json.dumps(asdict(context)).encode()
    parts: list[bytes] = [_MAGIC, _LENGTH.pack(len(head)), head]
    for fingerprint, packed in records.items():
        parts += (fingerprint, packed)
    return seal(_derive(key), b"".join(parts))


def decode(key: MasterKey, data: bytes) -> tuple[Context, Packed]:
    """Read a file. Raises Damaged unless this code wrote it, whole, with this key."""
    plain = unseal(_derive(key), data)
    if not plain.startswith(_MAGIC):
        raise Damaged("not a cache of unchanged trees, or one of another release")
    start = len(_MAGIC) + _LENGTH.size
    end = start + _LENGTH.unpack_from(plain, len(_MAGIC))[0]
    try:
        context = Context(**json.loads(plain[start:end]))
    except (ValueError, TypeError) as error:
        raise Damaged("not a cache of unchanged trees of this release") from error
    return context, {
        plain[at : at + _ID]: plain[at + _ID : at + _RECORD] for at in range(end, len(plain), _RECORD)
    }


def combine(fingerprint: bytes, below: Iterable[bytes]) -> bytes:
    """Return the fingerprint of a directory and all below it, from its own and those of its folders by name.

    One that is b"", for unknown, makes the whole unknown.
    """
    parts = [fingerprint, *below]
    return hashlib.blake2b(b"".join(parts), digest_size=_ID).digest() if all(parts) else b""


def _derive(key: MasterKey) -> MasterKey:
    derived = hashlib.blake2b(key.mac_k + key.mac_r, key=key.encrypt, person=b"unchanged trees").digest()
    return MasterKey(derived[:32], derived[32:48], derived[48:])
