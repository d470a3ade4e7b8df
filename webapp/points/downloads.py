"""Content of points as downloads: named for every browser, cut visibly if it fails on the way."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote

from flask import Response, send_file

from core.models import BuiltDownload
from webapp.streams import CutOnError

_UNSAFE = '"\\'


def file(content: Iterator[bytes], path: bytes, size: int | None) -> Response:
    """Return one file. Its length is announced, so that a cut stream is noticed as such."""
    response = _attachment(content, path.rpartition(b"/")[2], "application/octet-stream")
    if size is not None:
        response.content_length = size
    return response


def archive(content: Iterator[bytes], path: bytes, point_id: int, form: Literal["tar", "zip"]) -> Response:
    """Return a folder; it is made while it is sent, so its length is not known before."""
    name = path.rpartition(b"/")[2] or f"point-{point_id}".encode()
    mimetype = "application/zip" if form == "zip" else "application/x-tar"
    return _attachment(content, name + f".{form}".encode(), mimetype)


def _attachment(content: Iterator[bytes], name: bytes, mimetype: str) -> Response:
    response = Response(CutOnError(content), mimetype=mimetype, direct_passthrough=True)
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in _UNSAFE else "_"
        for char in name.decode("utf-8", "replace")
    )
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    )
    return response


def built(row: BuiltDownload, path: str) -> Response:
    """Return a download that was built: whole or in parts, with its hash."""
    mimetype = "application/zip" if row.form == "zip" else "application/x-tar"
    response = send_file(
        path, mimetype, as_attachment=True, download_name=row.name, conditional=True, etag=row.sha256,
        last_modified=row.ready_at,
    )  # fmt: skip
    digest = b64encode(bytes.fromhex(row.sha256)).decode("ascii")
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530
    return response
