"""Private keys: read from the text that a person gives, or made here."""

from __future__ import annotations

import io

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey

from ssh.errors import BadPrivateKey

_OURS = (
    (ed25519.Ed25519PrivateKey, Ed25519Key),
    (ec.EllipticCurvePrivateKey, ECDSAKey),
    (rsa.RSAPrivateKey, RSAKey),
)


def load(text: str, passphrase: str | None = None) -> PKey:
    """Return the key in this text (OpenSSH's format or PEM).

    Raises BadPrivateKey, which never shows the text.
    """
    data = text.strip().replace("\r\n", "\n").encode() + b"\n"
    password = passphrase.encode() if passphrase else None
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    read = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = read(data, password)
    except TypeError as error:  # how the library says: a passphrase too few, or one too many
        if password is None:
            raise BadPrivateKey("this private key has a passphrase: give it too") from error
        return load(text, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadPrivateKey(_unreadable(password)) from error
    for kind, ours in _OURS:
        if isinstance(key, kind):
            return ours.from_private_key(io.StringIO(_plain(key)))
    raise BadPrivateKey("this kind of private key is not supported: use Ed25519, ECDSA or RSA")


def make(comment: str) -> tuple[str, str]:
    """Return a new Ed25519 key: its private text, and its public line for `authorized_keys`."""
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return _plain(key), f"{public.decode()} {comment}"


def _plain(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def _unreadable(password: bytes | None) -> str:
    if password:
        return "this private key cannot be read with this passphrase: one of the two is wrong"
    return "this is no private key: give the whole text, from the line BEGIN … to the line END …"
