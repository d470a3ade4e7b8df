"""Headers of every answer, and static files that may be kept for ever because their address changes."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import Any

from flask import Flask, Response, request
from werkzeug.security import safe_join

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": over https the CSRF check wants to see our own address.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def register(app: Flask) -> None:
    """Add the headers to each answer, and a content hash to each static address."""
    app.after_request(_add_headers)
    app.url_defaults(lambda endpoint, values: _add_version(app, endpoint, values))


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.vary.add("HX-Request")
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    elif request.args.get("v") and response.status_code == 200:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _add_version(app: Flask, endpoint: str, values: dict[str, Any]) -> None:
    if endpoint != "static" or "v" in values or app.static_folder is None:
        return
    path = safe_join(app.static_folder, values.get("filename", ""))
    if path and os.path.isfile(path):
        values["v"] = _content_hash(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=256)
def _content_hash(path: str, mtime_ns: int) -> str:
    """Return a short hash of a file; `mtime_ns` makes a changed file a new question."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
