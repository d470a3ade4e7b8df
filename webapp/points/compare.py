"""Points of files held against this machine: what differs, line by line, and chosen files put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core import errors
from core.configs import config_compare, config_documents
from core.models import Point
from core.points import points, tokens
from core.restores import config_restores, restores
from jobs import tasks
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("compare", __name__, url_prefix="/compare")


@blueprint.get("/<int:point_id>")
@access.allow("admin")
def show(point_id: int) -> ResponseReturnValue:
    """Show which files of a point differ from this machine's."""
    return _page(_get(point_id))


@blueprint.post("/<int:point_id>")
@access.allow("admin")
def put_back(point_id: int) -> ResponseReturnValue:
    """Put the ticked files back in their places, after a safety backup; go to the job's page."""
    point, chosen = _get(point_id), request.form.getlist("path")
    try:
        given = config_restores.validate({"point_id": point_id, "include": chosen, "copy_id": _copy()})
        job = config_restores.create(given)
    except (errors.Invalid, errors.Refused, errors.Conflict) as error:
        return _page(point, chosen, str(error)), 422
    tasks.enqueue([restores.safety_job_of(job) or job.id, job.id])
    return answers.see_other(url_for("jobs.show", job_id=job.id))


@blueprint.get("/<int:point_id>/diff", endpoint="diff")
@access.allow("admin")
def show_diff(point_id: int) -> ResponseReturnValue:
    """Return how one file differs, secrets masked."""
    return _diff(_get(point_id), reveal=False)


@blueprint.post("/<int:point_id>/diff")
@access.allow("admin")
def reveal_diff(point_id: int) -> ResponseReturnValue:
    """Return the same with its secrets; who asked for that is noted."""
    point = _get(point_id)
    config_documents.note_reveal(access.user().name, point, _path())
    return _diff(point, reveal=True)


@blueprint.get("/<int:point_id>/environment")
@access.allow("operator")
def environment(point_id: int) -> ResponseReturnValue:
    """Show the document of the environment, secrets masked."""
    return _environment(_get(point_id), reveal=False)


@blueprint.post("/<int:point_id>/environment")
@access.allow("admin")
def reveal_environment(point_id: int) -> ResponseReturnValue:
    """Show the same with its secrets; who asked for that is noted."""
    point = _get(point_id)
    if config_documents.holds_document(point, _copy()):
        config_documents.note_reveal(access.user().name, point, config_documents.PATH)
    return _environment(point, reveal=True)


@blueprint.get("/<int:point_id>/since")
@access.allow("operator")
def since(point_id: int) -> ResponseReturnValue:
    """Return what is otherwise on the machine now; asking it takes a moment."""
    point, copy_id = _get(point_id), _copy()
    if not config_documents.is_comparable(point):
        return answers.see_other(url_for("points.show", point_id=point.id))
    found, trouble = None, ""
    try:
        found = config_documents.changed_since(point, copy_id)
    except errors.Unreachable as error:
        trouble = str(error)
    values: dict[str, Any] = {
        "since": found,
        "trouble": trouble,
        "machine": config_documents.machine_of(point),
    }
    if answers.is_fragment_request():
        return answers.fragment("compare/_since.html", **values)
    return render_template("compare/since.html", point=point, copy=copy_id, **values)


def _page(point: Point, chosen: Sequence[str] = (), problem: str = "") -> str:
    copy_id = _copy()
    return render_template(
        "compare/show.html",
        point=point,
        copy=copy_id,
        found=config_compare.compare(point, _path(), copy_id),
        has_document=config_documents.holds_document(point, copy_id),
        may_put_back=config_restores.is_offered(point),
        chosen=chosen,
        problem=problem,
    )


def _diff(point: Point, *, reveal: bool) -> ResponseReturnValue:
    copy_id = _copy()
    values: dict[str, Any] = {
        "point": point,
        "copy": copy_id,
        "diff": config_compare.diff(point, _path(), copy_id, reveal=reveal),
        "revealed": reveal,
    }
    if answers.is_fragment_request():
        return answers.fragment("compare/_diff.html", **values)
    return render_template("compare/diff.html", **values)


def _environment(point: Point, *, reveal: bool) -> ResponseReturnValue:
    copy_id = _copy()
    if not config_documents.holds_document(point, copy_id):
        url = url_for("points.show", point_id=point.id)
        return answers.see_other(url, f"Point {point.id} holds no document of an environment.", "warn")
    return render_template(
        "compare/environment.html",
        point=point,
        copy=copy_id,
        document=config_documents.document_of(point, copy_id, reveal=reveal),
        comparable=config_documents.is_comparable(point),
        machine=config_documents.machine_of(point),
        revealed=reveal,
    )


def _get(point_id: int) -> Point:
    point = points.get(point_id)
    formats.use_zone_of(point.config)
    return point


def _path() -> bytes:
    try:
        return tokens.path_from_token(request.args.get("path") or tokens.token_from_path(b"/"))
    except ValueError as error:
        raise NotFound from error


def _copy() -> int | None:
    return request.args.get("copy", type=forms.row_number)
