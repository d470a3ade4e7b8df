"""Points: which there are, and what is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core.configs import configs
from core.models import Point
from core.points import browse, points, tokens
from core.retention import point_removal
from webapp import answers, formats
from webapp.access import access
from webapp.configs import config_pages
from webapp.points import built_downloads, downloads, removals

blueprint = Blueprint("points", __name__, url_prefix="/points")

ROWS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Folder:
    """Part of a folder's rows; `copy` None: read from the best one. `next_offset` is None at its end."""

    point: Point
    copy: int | None
    path: bytes
    token: str
    rows: list[browse.Row]
    offset: int
    next_offset: int | None
    total: int


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List points, of one config or all."""
    chosen, no_config = request.args.get("config", ""), point_removal.choose()
    page, lost = request.args.get("page", 1, type=int), chosen == removals.NO_CONFIG
    return render_template(
        "points/index.html",
        page=points.list_page(config_id=None if lost else chosen, page=page, of_no_config=lost),
        chosen=chosen,
        configs=configs.names(),
        no_config=len(no_config),
        removable=lost or config_pages.is_deleted(chosen),
    )


@blueprint.get("/<int:point_id>")
@access.allow("viewer")
def show(point_id: int) -> ResponseReturnValue:
    """Show a point and one of its folders."""
    point = _get(point_id)
    folder = _folder(point)
    return render_template(
        "points/show.html",
        point=point,
        folder=folder,
        crumbs=crumbs(folder.path),
        choices=points.choices(point),
        others=points.neighbours(point),
        in_use=browse.copy_in_use(point, folder.copy),
        removable=point_removal.is_of_no_config(point) and points.is_good(point),
    )


@blueprint.get("/<int:point_id>/folder", endpoint="folder")
@access.allow("viewer")
def show_folder(point_id: int) -> ResponseReturnValue:
    """Return the rows of one folder, to open in place."""
    return answers.fragment("points/_folder.html", folder=_folder(_get(point_id)))


@blueprint.get("/<int:point_id>/card")
@access.allow("viewer")
def card(point_id: int) -> ResponseReturnValue:
    """Return the facts of a point, to show below the time axis."""
    return answers.fragment("points/_card.html", point=_get(point_id), whole=True)


@blueprint.get("/<int:point_id>/file")
@access.allow("admin")
def file(point_id: int) -> ResponseReturnValue:
    """Download one file."""
    row, content = browse.read_file(_get(point_id), _path(), copy_id=_copy())
    return downloads.file(content, row.path, row.size)


@blueprint.get("/<int:point_id>/archive")
@access.allow("admin")
def archive(point_id: int) -> ResponseReturnValue:
    """Download a folder as tar or zip."""
    form: Literal["tar", "zip"] = "zip" if request.args.get("form") == "zip" else "tar"
    path = _path()
    content = browse.stream_folder(_get(point_id), path, form, copy_id=_copy())
    return downloads.archive(content, path, point_id, form)


@blueprint.post("/<int:point_id>/selection")
@access.allow("admin")
def selection(point_id: int) -> ResponseReturnValue:
    """Download what was ticked as one tar or zip; by POST, since it may be too much for an address."""
    point, chosen = _get(point_id), request.form.getlist("path")
    if not chosen:
        url = url_for("points.show", point_id=point_id, copy=request.form.get("copy_id"))
        return answers.see_other(
            url, "Tick at least one file or folder, then download what is selected.", "warn"
        )
    form: Literal["tar", "zip"] = "zip" if request.form.get("form") == "zip" else "tar"
    paths = [_path_of(token) for token in chosen]
    copy_id = request.form.get("copy_id", type=int)
    given = built_downloads.wanted(point_id, chosen, form, copy_id)
    if not request.form.get("now") and built_downloads.is_large(point, given):
        answers.note("not sent, but offered to be built first")
        return built_downloads.offer(point, given)
    content = browse.stream_selection(point, paths, form, copy_id=copy_id)
    return downloads.archive(content, paths[0] if len(paths) == 1 else b"/", point_id, form)


def _get(point_id: int) -> Point:
    point = points.get(point_id)
    formats.use_zone_of(point.config)
    return point


def _path() -> bytes:
    return _path_of(request.args.get("path") or tokens.token_from_path(b"/"))


def _path_of(token: str) -> bytes:
    try:
        return tokens.path_from_token(token)
    except ValueError as error:
        raise NotFound from error


def _copy() -> int | None:
    """Return the copy that was chosen to be read; None: the best one that answers."""
    return request.args.get("copy", type=int)


def _folder(point: Point) -> Folder:
    path, offset = _path(), max(0, request.args.get("offset", 0, type=int))
    if "path" not in request.args:
        path = start_of(point)
    rows = browse.list_dir(point, path, copy_id=_copy())
    end = offset + ROWS_AT_ONCE
    token = tokens.token_from_path(path)
    return Folder(
        point, _copy(), path, token, rows[offset:end], offset, end if end < len(rows) else None, len(rows)
    )


def start_of(point: Point) -> bytes:
    """Return the folder to show first: the deepest that holds all that was asked to be backed up."""
    given = [os.fsencode(path) for path in point.paths.get("paths", [])]
    start = os.path.commonpath(given) if given else b"/"
    if start == b"/" or browse.find(point, start, copy_id=_copy()).kind == "dir":
        return start
    return os.path.dirname(start)


def crumbs(path: bytes) -> list[tuple[str, str]]:
    """Return name and token of each folder on the way to `path`, the root not among them."""
    parts = [part for part in path.split(b"/") if part]
    walked = [b"/" + b"/".join(parts[: number + 1]) for number in range(len(parts))]
    return [(tokens.printable(here.rpartition(b"/")[2]), tokens.token_from_path(here)) for here in walked]
