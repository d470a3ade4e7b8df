"""Two points held against each other: what changed, folder by folder, and in one file line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core.configs import config_documents
from core.models import Point
from core.points import file_diff, point_diff, points, tokens
from webapp import answers, formats, forms
from webapp.access import access
from webapp.points import points as point_pages
from webapp.wording import Look

blueprint = Blueprint("diffs", __name__, url_prefix="/diffs")

LOOKS = {
    "added": Look("good", "plus", "Added"),
    "changed": Look("warn", "pencil", "Changed"),
    "removed": Look("bad", "circle-x", "Removed"),
    "attributes": Look("info", "info", "Other attributes"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two points, the older one first."""

    old: Point
    new: Point


@blueprint.get("")
@access.allow("viewer")
def choose() -> ResponseReturnValue:
    """Lead from the two points that were chosen to their page, the older one first."""
    chosen = [points.get(request.args.get(name, 0, type=forms.row_number)) for name in ("point", "other")]
    old, new = sorted(chosen, key=lambda point: (point.taken_at, point.id))
    path = request.args.get("path") or tokens.token_from_path(point_pages.start_of(new))
    url = url_for("diffs.show", old_id=old.id, new_id=new.id, path=path)
    return answers.see_other(url)


@blueprint.get("/<int:old_id>/<int:new_id>")
@access.allow("viewer")
def show(old_id: int, new_id: int) -> ResponseReturnValue:
    """Show what changed between two points, in one folder of theirs."""
    pair = _pair(old_id, new_id)
    found = point_diff.compare(pair.old, pair.new, _path())
    return render_template(
        "diffs/show.html",
        pair=pair,
        found=found,
        folder=tokens.printable(found.folder),
        crumbs=point_pages.crumbs(found.folder),
        looks=LOOKS,
    )


@blueprint.get("/<int:old_id>/<int:new_id>/file")
@access.allow("admin")
def file(old_id: int, new_id: int) -> ResponseReturnValue:
    """Return how one file changed, secrets masked."""
    return _file(_pair(old_id, new_id), reveal=False)


@blueprint.post("/<int:old_id>/<int:new_id>/file")
@access.allow("admin")
def reveal(old_id: int, new_id: int) -> ResponseReturnValue:
    """Return the same with its secrets; who asked for that is noted."""
    pair = _pair(old_id, new_id)
    config_documents.note_reveal(access.user().name, pair.new, _path())
    return _file(pair, reveal=True)


def _file(pair: Pair, *, reveal: bool) -> ResponseReturnValue:
    found = file_diff.diff(pair.old, pair.new, _path(), reveal=reveal)
    values: dict[str, Any] = {"pair": pair, "diff": found}
    if answers.is_fragment_request():
        return answers.fragment("diffs/_file.html", **values)
    return render_template("diffs/file.html", **values)


def _pair(old_id: int, new_id: int) -> Pair:
    old, new = points.get(old_id), points.get(new_id)
    formats.use_zone_of(new.config)
    return Pair(old, new)


def _token() -> str:
    return request.args.get("path") or tokens.token_from_path(b"/")


def _path() -> bytes:
    try:
        return tokens.path_from_token(_token())
    except ValueError as error:
        raise NotFound from error
