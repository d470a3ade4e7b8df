"""Search all points for a file, and list the versions of one."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core.configs import configs
from core.errors import Invalid
from core.points import catalog, catalog_job, file_search, file_versions, tokens
from core.points.catalog_file import CatalogUnusable
from jobs import tasks
from webapp import answers, formats
from webapp.access import access

blueprint = Blueprint("search", __name__, url_prefix="/search")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Ask for a name; list the files, links and folders that have it, in all points or a config's."""
    text, chosen = request.args.get("q", "").strip(), request.args.get("config", "")
    answer, problem, status = None, "", 200
    try:
        answer = file_search.search(text, chosen or None) if text else None
    except Invalid as error:
        problem, status = str(error), 422
    except CatalogUnusable as error:
        problem, status = str(error), 503
    names = configs.names()
    page = render_template(
        "search/index.html", text=text, chosen=chosen, answer=answer, problem=problem, configs=names,
        config_names={one.id: one.name for one in names}, coverage=_coverage(chosen),
        nothing_said=file_search.NOTHING_SAID, filling=catalog_job.pending(),
    )  # fmt: skip
    return page, status


@blueprint.get("/versions")
@access.allow("viewer")
def versions() -> ResponseReturnValue:
    """List the versions that a file has in the points of a config."""
    config_id = request.args.get("config", "") or None
    config = configs.get(config_id, deleted=True) if config_id else None
    formats.use_zone_of(config)
    return render_template(
        "search/versions.html",
        config=config,
        history=file_versions.history(config_id, _path()),
        coverage=_coverage(config_id or ""),
        filling=catalog_job.pending(),
    )


@blueprint.post("/catalog/fill")
@access.allow("operator")
def fill() -> ResponseReturnValue:
    """Let search learn the points that it does not know, and show how far that is."""
    return _started(rebuild=False)


@blueprint.post("/catalog/rebuild")
@access.allow("admin")
def rebuild() -> ResponseReturnValue:
    """Let search learn all points anew, and show how far that is."""
    return _started(rebuild=True)


def _started(*, rebuild: bool) -> ResponseReturnValue:
    job = catalog_job.create("manual", rebuild=rebuild)
    tasks.enqueue([job.id])
    return answers.see_other(url_for("jobs.show", job_id=job.id))


def _coverage(config_id: str) -> catalog.Coverage | None:
    """Return how much search knows; None: the catalog cannot be read, which is said elsewhere."""
    try:
        return catalog.coverage(config_id or None)
    except CatalogUnusable:
        return None


def _path() -> bytes:
    try:
        return tokens.path_from_token(request.args.get("path", ""))
    except ValueError as error:
        raise NotFound from error
