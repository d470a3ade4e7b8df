"""Downloads that are built before they are fetched: offered, built, listed, fetched in parts."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core.errors import Conflict, Invalid
from core.models import BuiltDownload, Point
from core.points import built_downloads, built_files, built_rules, points
from core.points.built_downloads import DownloadInput
from core.points.built_files import CannotBeBuilt
from core.points.built_rules import GIB
from jobs import tasks
from webapp import answers, formats, forms
from webapp.access import access
from webapp.jobs import progress
from webapp.points import downloads
from webapp.wording import Look

blueprint = Blueprint("downloads", __name__, url_prefix="/downloads")

LOOKS = {
    "waiting": Look("info", "clock", "Waiting"),
    "building": Look("info", "loader", "Being built"),
    "ready": Look("good", "circle-check", "Ready"),
    "failed": Look("bad", "circle-x", "Failed"),
    "removed": Look("none", "circle-slash", "Removed"),
}


@blueprint.get("")
@access.allow("admin")
def index() -> ResponseReturnValue:
    """List built downloads, and the rules for them."""
    return _list(forms.Form(), 200)


@blueprint.get("/new")
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Lead on to a download that is soon sent; offer to build a larger one first."""
    found = forms.Form(request.args)
    given = _given(found)
    point = _point(given)
    if len(given.include) < 2 and not is_large(point, given):
        path = given.include[0] if given.include else None
        return answers.see_other(
            url_for("points.archive", point_id=point.id, path=path, form=given.form, copy=given.copy_id)
        )
    return offer(point, given)


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Let it be built, and go to its page."""
    given = _given(forms.sent())
    try:
        row = built_downloads.create(given, "manual", access.user().name)
    except CannotBeBuilt as error:
        return answers.see_other(url_for("points.show", point_id=given.point_id), str(error), "bad")
    if row.job.status == "queued":
        tasks.enqueue([row.job_id])
    return answers.see_other(url_for("downloads.show", built_id=row.id))


@blueprint.get("/<int:built_id>")
@access.allow("admin")
def show(built_id: int) -> ResponseReturnValue:
    """Show a download: how far it is, then its link and hash."""
    row = _get(built_id)
    return render_template("downloads/show.html", row=row, live=progress.of(row.job), **_said(row))


@blueprint.get("/<int:built_id>/card")
@access.allow("admin")
def card(built_id: int) -> ResponseReturnValue:
    """Return the facts of a download: its link and hash, once it is ready."""
    row = _get(built_id)
    return answers.fragment("downloads/_card.html", row=row, **_said(row))


@blueprint.get("/of-job/<int:job_id>")
@access.allow("admin")
def of_job(job_id: int) -> ResponseReturnValue:
    """Lead from a job to what it builds."""
    return answers.see_other(url_for("downloads.show", built_id=built_downloads.of_job(job_id).id))


@blueprint.get("/<int:built_id>/file")
@access.allow("admin")
def file(built_id: int) -> ResponseReturnValue:
    """Fetch it, whole or in parts."""
    return downloads.built(*built_downloads.file_of(built_id))


@blueprint.post("/<int:built_id>/remove")
@access.allow("admin")
def remove(built_id: int) -> ResponseReturnValue:
    """Remove its file before its time."""
    url = url_for("downloads.index")
    try:
        built_downloads.remove(built_id, access.user().name)
    except Conflict as error:
        return answers.see_other(url, str(error), "bad")
    return answers.see_other(url, "It is removed. What it was made of is still in its point.")


@blueprint.post("/rules")
@access.allow("admin")
def rules() -> ResponseReturnValue:
    """Change from what size downloads are built, how long they are kept, and how much room they may take."""
    form = forms.sent()
    try:
        built_rules.change(
            {
                "build_above_bytes": _gib(form, "build_above"),
                "keep_hours": form.value("keep_hours"),
                "most_bytes": _gib(form, "most"),
            }
        )
    except Invalid as error:
        return _list(form.refuse(error), 422)
    return answers.see_other(url_for("downloads.index"), "The rules for built downloads are saved.")


def wanted(point_id: int, chosen: list[str], form: str, copy_id: int | None) -> DownloadInput:
    """Return what is to be downloaded. Raises Invalid."""
    return built_downloads.validate(
        {"point_id": point_id, "include": chosen, "form": form, "copy_id": copy_id}
    )


def is_large(point: Point, given: DownloadInput) -> bool:
    """Tell whether a download is better built first."""
    return built_downloads.extent_of(point, given)[1]


def offer(point: Point, given: DownloadInput) -> ResponseReturnValue:
    """Return the page that offers to build it, or to send it as it is made all the same."""
    extent, _ = built_downloads.extent_of(point, given)
    room = built_rules.current().most_bytes - built_files.used_bytes()
    return render_template(
        "downloads/new.html", point=point, given=given, extent=extent, rules=built_rules.current(), room=room
    )


def _list(form: forms.Form, status: int) -> ResponseReturnValue:
    found = built_downloads.list_page(request.args.get("page", 1, type=int))
    now = built_rules.current()
    shown = {
        "build_above": f"{now.build_above_bytes / GIB:g}", "keep_hours": str(now.keep_hours),
        "most": f"{now.most_bytes / GIB:g}",
    }  # fmt: skip
    values = form if form.errors else forms.Form(shown)
    states = {row.id: LOOKS[built_downloads.state(row)] for row in found.items}
    page = render_template(
        "downloads/index.html", page=found, states=states, form=values, used=built_files.used_bytes()
    )
    return page, status


def _gib(form: forms.Form, name: str) -> int:
    try:
        return int(float(form.value(name).replace(",", ".")) * GIB)
    except (ValueError, OverflowError) as error:
        raise Invalid({name: "Write a number of GiB, such as 2."}) from error


def _given(form: forms.Form) -> DownloadInput:
    try:
        copy = form.value("copy_id")
        return wanted(
            forms.row_number(form.value("point_id")), form.values("path"), form.value("form") or "zip",
            forms.row_number(copy) if copy else None,
        )  # fmt: skip
    except (ValueError, Invalid) as error:
        raise NotFound from error


def _point(given: DownloadInput) -> Point:
    point = points.get(given.point_id)
    formats.use_zone_of(point.config)
    return point


def _get(built_id: int) -> BuiltDownload:
    row = built_downloads.get(built_id)
    formats.use_zone_of(row.point.config)
    return row


def _said(row: BuiltDownload) -> dict[str, Any]:
    state = built_downloads.state(row)
    return {"state": state, "look": LOOKS[state]}
