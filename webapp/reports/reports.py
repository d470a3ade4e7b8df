"""Reports: the day's, what compliance asks for, jobs as a table."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from core.configs import configs, success
from core.jobs import job_export
from core.reports import compliance_report, reports
from core.retention import standings
from core.storages import storages
from webapp.access import access
from webapp.jobs import jobs as job_pages

blueprint = Blueprint("reports", __name__, url_prefix="/reports")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Show how backups went lately, and list the reports."""
    return render_template(
        "reports/index.html",
        rates=success.rates(),
        stand=standings.of_all(configs.list_all()),
        reports=reports.list_recent(),
        storage_names={each.id: each.name for each in storages.list_all()},
    )


@blueprint.get("/<day>")
@access.allow("viewer")
def show(day: str) -> ResponseReturnValue:
    """Show the report of a day; of today, so far."""
    if day == "today":
        return render_template("reports/show.html", report=None, document=reports.preview())
    report = reports.get(_day(day))
    return render_template("reports/show.html", report=report, document=report.document)


@blueprint.get("/<day>.json")
@access.allow("viewer")
def document(day: str) -> ResponseReturnValue:
    """Return the report of a day as it is put on the storage."""
    found = reports.preview() if day == "today" else reports.get(_day(day)).document
    return Response(
        reports.as_json(found),
        mimetype="application/json",
        headers={"Content-Disposition": f'attachment; filename="backup-report-{found["day"]}.json"'},
    )


@blueprint.get("/compliance")
@access.allow("admin")
def compliance() -> ResponseReturnValue:
    """Show, to be printed: encryption, retention, copies, access."""
    return render_template("reports/compliance.html", report=compliance_report.make())


@blueprint.get("/jobs.csv")
@access.allow("viewer")
def jobs_csv() -> ResponseReturnValue:
    """Return the jobs that the filters in the address choose, as CSV."""
    _, filters = job_pages.chosen_filters(request.args)
    lines = list(job_export.as_csv(filters))
    return Response(
        "".join(lines),
        mimetype="text/csv",
        headers={"Content-Disposition": 'attachment; filename="holdfast-jobs.csv"'},
    )


@blueprint.app_template_global()
def success_of_month() -> float | None:
    """Return the share of the backups of 30 days that ended well; None if there were none."""
    return success.rate(30).rate


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotFound from None
