"""Ids: 32 bytes inside, 64 lower-case hex digits in names and JSON (restic-format.md, section 1)."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from itertools import chain

ID_BYTES = 32
_ID = struct.Struct(f"{ID_BYTES}s")
_HEX_ID = re.compile(r"[0-9a-f]{64}\Z")


def hash_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """Return the SHA-256 of `data`, 32 bytes: the id of a blob (its plaintext) or of a file (as stored)."""
    return hashlib.sha256(data).digest()


def is_hex_id(name: str) -> bool:
    """Tell whether `name` is exactly 64 lower-case hex digits; listings ignore everything else."""
    return _HEX_ID.match(name) is not None


def parse_id(text: str) -> bytes:
    """Return the 32 bytes of a hex id. Raises ValueError if it is not exactly 64 lower-case hex digits."""
    if not is_hex_id(text):
        raise ValueError(f"not an id: {text[:80]!r}")
    return bytes.fromhex(text)


def split_ids(joined: bytes | bytearray) -> Iterator[bytes]:
    """Yield each id of many that stand one after the other."""
    return chain.from_iterable(_ID.iter_unpack(joined))
