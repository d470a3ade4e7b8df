"""Restores: choose where to, see what came of it."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.access import restore_rights
from core.errors import Conflict, Invalid, NotFound, Refused, Unreachable
from core.hosts import hosts
from core.jobs import outcomes
from core.models import Point
from core.points import points, tokens
from core.restores import (
    config_restores,
    database_restores,
    dump_folder,
    put_back,
    rehearsal,
    restores,
)
from jobs import tasks
from webapp import answers, failures, formats, forms
from webapp.access import access
from webapp.hosts import host_form, host_pages, host_rights
from webapp.restores import restore_words

blueprint = Blueprint("restores", __name__, url_prefix="/restores")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List restores."""
    found = restores.list_restores(page=request.args.get("page", 1, type=int))
    return render_template("restores/index.html", page=found, conflicts=restores.CONFLICTS)


@blueprint.route("/new", methods=["GET", "POST"])
@access.allow("operator")
def new() -> ResponseReturnValue:
    """Ask where to; what was ticked comes by POST, since it may be too much for an address."""
    values = request.values
    chosen = values.getlist("path")
    if request.method == "POST" and not chosen:
        # Never take an empty choice for "everything".
        url = url_for("points.show", point_id=_point_id(values.get("point_id", "")))
        return answers.see_other(
            url, "Tick at least one file or folder, then restore what is selected.", "warn"
        )
    given = {name: values.get(name, "") for name in ("point_id", "copy_id")}
    point = points.get(_point_id(given["point_id"]))
    if not access.may("admin"):
        restore_rights.require_any()
    elif not chosen and values.get("as") != "files":
        if database_restores.is_of_databases(point):
            return _database_page(forms.Form({**given, "owners": "yes", "where": "new"}), 200)
        if config_restores.is_offered(point):
            return answers.see_other(
                url_for("compare.show", point_id=point.id, copy=_point_id(given["copy_id"]) or None)
            )
    host_id = host_pages.host_of(point) if access.may("admin") else ""
    form = forms.Form({**given, "conflict": "keep", "host_id": host_id})
    return _form_page(form, chosen, 200)


@blueprint.post("")
@access.allow("operator")
def create() -> ResponseReturnValue:
    """Start a restore and go to its page."""
    form = _sent()
    try:
        job = restores.create(_wanted(form), limited=not access.may("admin"))
    except (Invalid, Conflict) as error:
        return _form_page(form.refuse(error, "put_back"), form.values("path"), 422)
    safety_id = restores.safety_job_of(job)
    tasks.enqueue([job.id] if safety_id is None else [safety_id, job.id])
    return answers.see_other(url_for("jobs.show", job_id=job.id))


@blueprint.post("/check")
@access.allow("operator")
def check() -> ResponseReturnValue:
    """Say what a restore would do, without writing."""
    form = _sent()
    found = _rehearsal(form)
    status = 422 if form.errors else 200
    if answers.is_fragment_request():
        return answers.fragment("restores/_check.html", status, form=form, found=found, asked=True)
    return _form_page(form, form.values("path"), status, found=found, asked=True)


def _rehearsal(form: forms.Form) -> rehearsal.Rehearsal | None:
    """Return what the restore would do; None where that cannot be told: the form then says why."""
    try:
        return rehearsal.rehearse(_wanted(form), limited=not access.may("admin"))
    except (Invalid, Conflict, Refused, Unreachable) as error:
        form.refuse(error, "target_path")
    except outcomes.EXPECTED as error:  # the point is gone, or its storage or its repository fails
        form.refuse(failures.said_of(error), "check")
    return None


@blueprint.post("/summary")
@access.allow("operator")
def summary() -> ResponseReturnValue:
    """Say in words what a form asks for as it stands."""
    form = _sent()
    point = points.get(_point_id(form.value("point_id")))
    formats.use_zone_of(point.config)
    chosen = _without_covered(form.values("path"))
    words = restore_words.summary(form, point, chosen)
    return answers.fragment("restores/_summary.html", point=point, chosen=chosen, summary=words)


def _sent() -> forms.Form:
    """Return the form that was sent; files are put back on their own machine, whichever is chosen beside."""
    form = forms.sent()
    if not form.value("put_back"):
        return form
    point = points.get(_point_id(form.value("point_id")))
    return form.changed({"host_id": host_pages.host_of(point)})


def _wanted(form: forms.Form) -> restores.RestoreInput:
    """Return what a form asks for. Raises Invalid."""
    names = ("point_id", "target_path", "host_id", "put_back", "conflict", "copy_id")
    chosen = form.values("path")
    if bool(chosen) == bool(form.value("all")):
        raise Invalid({"path": "Choose either everything or some files and folders."})
    return restores.validate({**{name: form.value(name) for name in names}, "include": chosen})


@blueprint.post("/database")
@access.allow("admin")
def create_database() -> ResponseReturnValue:
    """Start a restore into a new database and go to its page."""
    form = forms.sent()
    names = ("point_id", "copy_id", "database", "to", "server_config_id", "work_folder")
    given = {**{name: form.value(name).strip() for name in names}, "owners": bool(form.value("owners"))}
    given["in_place"] = form.value("where") == "in_place"
    given["to"] = given["database"] if given["in_place"] else given["to"] or f"{given['database']}_restored"
    try:
        job = database_restores.create(database_restores.validate(given))
    except (Invalid, Refused, Conflict) as error:
        return _database_page(form.refuse(error, "to"), 422)
    safety_id = restores.safety_job_of(job)
    tasks.enqueue([job.id] if safety_id is None else [safety_id, job.id])
    return answers.see_other(url_for("jobs.show", job_id=job.id))


def _database_page(form: forms.Form, status: int) -> ResponseReturnValue:
    point = points.get(_point_id(form.value("point_id")))
    formats.use_zone_of(point.config)
    copy_id = _point_id(form.value("copy_id")) or None
    manifest = database_restores.manifest_of(point, copy_id)
    largest = max(manifest.databases, key=lambda each: each.dump_bytes, default=None)
    form = form.changed({"database": form.value("database") or (largest.name if largest else "")})
    page = render_template(
        "restores/database.html",
        form=form,
        point=point,
        manifest=manifest,
        in_parallel=dump_folder.is_needed(manifest),
        usual_folder=dump_folder.usual(point),
        servers=database_restores.servers(point),
        choices=points.choices(point),
    )
    return page, status


def _form_page(
    form: forms.Form,
    chosen: list[str],
    status: int,
    *,
    found: rehearsal.Rehearsal | None = None,
    asked: bool = False,
) -> ResponseReturnValue:
    point = points.get(_point_id(form.value("point_id")))
    formats.use_zone_of(point.config)
    chosen = _without_covered(chosen)
    page = render_template(
        "restores/new.html",
        form=form,
        point=point,
        chosen=chosen,
        conflicts=restores.CONFLICTS,
        choices=points.choices(point),
        machines=host_form.machines() if access.may("admin") else host_rights.machines(),
        allowed=[] if access.may("admin") else host_rights.places(),
        summary=restore_words.summary(form, point, chosen),
        found=found,
        asked=asked,
        origin=_origin(point) if chosen and access.may("admin") else "",
    )
    return page, status


def _origin(point: Point) -> str:
    """Return the machine on which chosen files of a point may be put back where they were, "" if on none."""
    host_id = host_pages.host_of(point)
    if host_id:
        return hosts.name_of(host_id)
    return "this machine" if put_back.is_offered_here(point) else ""


def _without_covered(chosen: list[str]) -> list[str]:
    """Leave out what lies below another chosen path; the root alone means everything."""
    paths = sorted({_path(token) for token in chosen})
    kept: list[bytes] = []
    for path in paths:
        if not any(path.startswith(parent.rstrip(b"/") + b"/") for parent in kept):
            kept.append(path)
    return [tokens.token_from_path(path) for path in kept if path != b"/"]


def _path(token: str) -> bytes:
    try:
        return tokens.path_from_token(token)
    except ValueError as error:
        raise NotFound(
            "One of the chosen paths is not of this point.", "Go back and choose again."
        ) from error


def _point_id(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0
