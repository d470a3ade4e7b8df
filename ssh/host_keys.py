"""The keys by which servers are known: parsed, fingerprinted, asked for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from ssh.errors import BadHostKey


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key: its type ("ssh-ed25519"), its base64 blob, its fingerprint ("SHA256:…")."""

    type: str
    base64: str
    fingerprint: str

    @property
    def line(self) -> str:
        """Return the "type base64" line that is pinned."""
        return f"{self.type} {self.base64}"


def parse(line: str) -> HostKey:
    """Return the key in a "type base64 [comment]" line. Raises BadHostKey if it is none."""
    words = line.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = struct.unpack(">I", blob[:4])[0]
        kind = blob[4 : 4 + length].decode("ascii")
    except (IndexError, ValueError, struct.error, binascii.Error) as error:
        raise BadHostKey("this is no host key line; it should look like: ssh-ed25519 AAAA…") from error
    if kind != words[0]:
        raise BadHostKey(f"this host key line says {words[0]}, but holds a key of another type")
    return from_blob(blob, kind)


def from_blob(blob: bytes, kind: str) -> HostKey:
    """Return the key with this binary form, which is of type `kind`."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return HostKey(kind, base64.b64encode(blob).decode(), f"SHA256:{digest}")
