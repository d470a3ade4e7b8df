"""Calls about points: list, look, browse, download."""

from __future__ import annotations

import os
from typing import Any

from flask import Response

from core.errors import Invalid
from core.points import browse, points, tokens
from webapp.api import answers, door, point_shape, queries
from webapp.api.answers import ListOut
from webapp.api.point_shape import FileOut, PointOut
from webapp.points import downloads

_BYTES = "application/octet-stream"


@door.operation("GET", "/backup/points", "viewer", query=queries.ByConfig, answer=ListOut[PointOut])
def list_points(query: queries.ByConfig) -> Any:
    """List points, the newest first; those in the trash, too."""
    found = points.list_page(config_id=query.config, page=query.page, per_page=query.per_page)
    return answers.page(found, point_shape.point)


@door.operation("GET", "/backup/points/<int:point_id>", "viewer", answer=PointOut)
def get_point(point_id: int) -> PointOut:
    """Return a point with its copies."""
    return point_shape.point(points.get(point_id))


@door.operation(
    "GET", "/backup/points/<int:point_id>/files", "viewer", query=queries.FolderQuery,
    answer=ListOut[FileOut], also=(503,),
)  # fmt: skip
def list_files(point_id: int, query: queries.FolderQuery) -> Any:
    """List a folder of a point, folders first; without a path, its root."""
    rows = browse.list_dir(points.get(point_id), _path(query), query.copy_id)
    return answers.part(rows, _file, query)


@door.operation(
    "GET",
    "/backup/points/<int:point_id>/file",
    "admin",
    query=queries.FileQuery,
    media=(_BYTES,),
    also=(503,),
)
def download_file(point_id: int, query: queries.FileQuery) -> Response:
    """Download one file of a point.

    Its length is announced, so that an answer that is cut is noticed as such.
    """
    row, content = browse.read_file(points.get(point_id), _path(query), copy_id=query.copy_id)
    return downloads.file(content, row.path, row.size)


@door.operation(
    "GET", "/backup/points/<int:point_id>/archive", "admin", query=queries.ArchiveQuery,
    media=("application/x-tar", "application/zip"), also=(503,),
)  # fmt: skip
def download_folder(point_id: int, query: queries.ArchiveQuery) -> Response:
    """Download a folder of a point as tar or zip; without a path, all of it."""
    path, form = _path(query), query.form
    content = browse.stream_folder(points.get(point_id), path, form, copy_id=query.copy_id)
    return downloads.archive(content, path, point_id, form)


def _path(query: queries.FolderQuery | queries.FileQuery) -> bytes:
    if query.token is not None:
        if query.path is not None:
            raise Invalid({"path": "Give a path or a token, not both."})
        try:
            return tokens.path_from_token(query.token)
        except ValueError as error:
            raise Invalid({"token": "This is no token of a path."}) from error
    if query.path is None:
        return b"/"
    if not query.path.startswith("/"):
        raise Invalid({"path": "Give the whole path, from / on."})
    return os.fsencode(os.path.normpath("/" + query.path.lstrip("/")))


def _file(row: browse.Row) -> FileOut:
    return FileOut(
        name=row.name, path=tokens.printable(row.path), token=row.token, kind=row.kind, size=row.size,
        modified_at=row.mtime, link_target=row.linktarget,
    )  # fmt: skip
