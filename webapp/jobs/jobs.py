"""Jobs: what ran, what runs, live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from core.configs import configs
from core.jobs import jobs
from core.models import Job
from core.restores import restores
from webapp import answers, formats
from webapp.access import access
from webapp.jobs import job_words, progress

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs")

KINDS = ("backup", "copy", "restore", "retention", "prune", "download", "catalog")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List jobs; the filters stand in the address."""
    chosen, filters = chosen_filters(request.args)
    found = jobs.list_jobs(**filters, page=request.args.get("page", 1, type=int))
    return render_template(
        "jobs/index.html",
        page=found,
        chosen=chosen,
        configs=configs.names(),
        kinds=KINDS,
        running=jobs.count_running(),
    )


def chosen_filters(args: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the filters in an address, as its form shows them and as `jobs.list_jobs` takes them."""
    chosen = {name: args.get(name, "") for name in ("config", "kind", "status")}
    first, last = _day(args.get("from", "")), _day(args.get("to", ""))
    filters = {
        "kind": chosen["kind"],
        "status": chosen["status"],
        "config_id": chosen["config"],
        "since": _midnight(first) if first else None,
        "until": _midnight(last + timedelta(days=1)) if last else None,
    }
    return chosen | {"from": str(first or ""), "to": str(last or "")}, filters


@blueprint.get("/<int:job_id>")
@access.allow("viewer")
def show(job_id: int) -> ResponseReturnValue:
    """Show one job: progress or result, facts, log."""
    job = _get(job_id)
    return render_template("jobs/show.html", live=progress.of(job), **_detail(job))


@blueprint.get("/<int:job_id>/head")
@access.allow("viewer")
def head(job_id: int) -> ResponseReturnValue:
    """Return the first line of a job's page."""
    return answers.fragment("jobs/_head.html", job=_get(job_id))


@blueprint.get("/<int:job_id>/detail")
@access.allow("viewer")
def detail(job_id: int) -> ResponseReturnValue:
    """Return facts and log of a job."""
    return answers.fragment("jobs/_detail.html", **_detail(_get(job_id)))


@blueprint.get("/<int:job_id>/progress", endpoint="progress")
@access.allow("viewer")
def show_progress(job_id: int) -> ResponseReturnValue:
    """Return the live part of a job; the answer after its end polls no more and says so to the page."""
    return _progress_fragment(_get(job_id))


@blueprint.post("/<int:job_id>/cancel")
@access.allow("operator")
def cancel(job_id: int) -> ResponseReturnValue:
    """Ask a job to stop."""
    if _get(job_id).kind not in ("backup", "copy") and not access.may("admin"):
        raise Forbidden
    job = jobs.request_cancel(job_id)
    if answers.is_fragment_request():
        return _progress_fragment(job)
    return answers.see_other(url_for("jobs.show", job_id=job_id))


def _day(text: str) -> date | None:
    """Return the day that a filter names; None for none, so that its field is shown empty."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if date(1970, 1, 2) <= found < date(9000, 1, 1) else None


def _midnight(day: date) -> datetime:
    """Return when a day begins where the times of the page are."""
    return datetime.combine(day, time(), ZoneInfo(formats.page_zone()))


def _get(job_id: int) -> Job:
    job = jobs.get(job_id)
    formats.use_zone_of(job.config)
    return job


def _detail(job: Job) -> dict[str, Any]:
    problems_only = request.args.get("lines") == "problems"
    page = request.args.get("page", 1, type=int)
    return {
        "job": job,
        "restore": restores.of_job(job.id) if job.kind == "restore" else None,
        "log": jobs.log_lines(job.id, problems_only=problems_only, page=page),
        "problems_only": problems_only,
        "conflicts": restores.CONFLICTS,
        "target": job_words.target(job),
    }


def _progress_fragment(job: Job) -> ResponseReturnValue:
    events = {"job-ended": job.id, "announce": job.summary} if job.ended else None
    return answers.fragment("jobs/_progress.html", events=events, job=job, live=progress.of(job))
