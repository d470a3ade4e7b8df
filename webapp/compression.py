"""Text on its way to a browser, compressed where the browser takes that.

The standard library does it in a few lines; the packages for it bring encodings that small pages do not need.
"""

from __future__ import annotations

import gzip
import io
import secrets
from functools import lru_cache

from flask import Flask, Response, request

LEAST_BYTES = 1024
_TYPES = frozenset(
    (
        "text/html",
        "text/css",
        "text/javascript",
        "application/javascript",
        "image/svg+xml",
        "application/json",
    )
)
_QUICK, _BEST = 5, 9


def register(app: Flask) -> None:
    """Compress each answer for which that pays."""
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype not in _TYPES:
        return response
    response.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") <= 0 or not _is_whole(response):
        return response
    response.direct_passthrough = False
    plain = response.get_data()
    if len(plain) >= LEAST_BYTES:
        response.set_data(pack_static(plain) if request.endpoint == "static" else pack_page(plain))
        response.headers["Content-Encoding"] = "gzip"
        _weaken_etag(response)
    return response


def _is_whole(response: Response) -> bool:
    """Tell whether an answer is here as a whole: no part of a file, nothing that is still being made."""
    if response.status_code in (206, 304) or "Content-Encoding" in response.headers:
        return False
    return request.endpoint == "static" or not response.is_streamed


@lru_cache(maxsize=64)
def pack_static(plain: bytes) -> bytes:
    return gzip.compress(plain, _BEST, mtime=0)


def pack_page(plain: bytes) -> bytes:
    """Compress a page, with a name of random length in front.

    A page holds a form token beside words from its address; without that, the length of the answer would tell
    who watches the line whether a guess at the token was right (BREACH).
    """
    packed = io.BytesIO()
    name = "x" * (1 + secrets.randbelow(100))
    with gzip.GzipFile(name, "wb", _QUICK, packed, mtime=0) as file:
        file.write(plain)
    return packed.getvalue()


def _weaken_etag(response: Response) -> None:
    """Say that other bytes with this tag mean the same."""
    tag, weak = response.get_etag()
    if tag and not weak:
        response.set_etag(tag, weak=True)
