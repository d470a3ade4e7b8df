"""Tree paths in URLs and forms: any bytes, as url-safe base64 without padding."""

from __future__ import annotations

import base64
import binascii


def token_from_path(path: bytes) -> str:
    """Return the token of a tree path; the root's is `Lw`."""
    return base64.urlsafe_b64encode(path).rstrip(b"=").decode("ascii")


def path_from_token(token: str) -> bytes:
    """Return the tree path of a token. Raises ValueError unless it is one, of an absolute clean path."""
    padded = token + "=" * (-len(token) % 4)
    try:
        path = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"not a path token: {token[:80]!r}") from error
    if path != b"/" and not _is_clean(path):
        raise ValueError(f"not an absolute path: {path[:80]!r}")
    return path


def printable(name: bytes) -> str:
    """Return a name for people: bytes that are no UTF-8, and control characters, are shown escaped."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _is_clean(path: bytes) -> bool:
    if not path.startswith(b"/") or b"\0" in path:
        return False
    return all(part not in (b"", b".", b"..") for part in path[1:].split(b"/"))
