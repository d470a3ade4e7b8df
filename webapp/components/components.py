"""Every piece of which pages are made, in every state: for those who change pages, and for the tests."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from core.db import utc_now
from webapp import charts
from webapp.access import access
from webapp.components import component_samples as samples
from webapp.configs.config_words import Summary, Target
from webapp.forms import Form

blueprint = Blueprint("components", __name__, url_prefix="/components")

# id, which also names its template, and title.
PARTS = (
    ("verdict", "Verdict"),
    ("states", "States, chips, counts"),
    ("notes", "Notes"),
    ("buttons", "Buttons"),
    ("cards", "Config cards, with facts and the strip of 30 days"),
    ("progress", "Progress, and what it turns into"),
    ("timeline", "Timeline"),
    ("tree", "Tree"),
    ("table", "Tables with filters and what is done with the ticked"),
    ("form", "Form with steps and its words beside it"),
    ("consequence", "Consequences"),
    ("empty", "Empty states"),
    ("alerts", "Alerts"),
    ("storages", "Storages"),
    ("chart", "Chart"),
)


@blueprint.get("")
@access.allow("admin")
def index() -> ResponseReturnValue:
    """Show the pieces, made of the same templates as the pages."""
    found = samples.points_found()
    return render_template(
        "components/index.html",
        parts=PARTS,
        cards=samples.cards(),
        jobs=samples.jobs(),
        page=samples.page_of_jobs(),
        found=found,
        axis=samples.axis_of(found),
        folder=samples.folder(),
        alerts=samples.alerts(),
        storages=samples.storages(),
        chart=_chart(),
        form=_refused_form(),
        summary=_summary(),
    )


def _chart() -> charts.Chart | None:
    today = utc_now().date()
    days = [
        (today - timedelta(days=back), {"Wiki": (90 - back) * samples.GIB, "Letters": 20 * samples.GIB})
        for back in reversed(range(60))
    ]
    return charts.stack(days, 120 * samples.GIB, last="Letters")


def _refused_form() -> Form:
    """Return a form that was filled and refused."""
    typed = {"name": "Wiki", "schedule": "daily", "time": "25:00", "paths": "/srv/wiki", "on": "yes"}
    return Form(typed, {"time": "There is no such time of day: 25:00."})


def _summary() -> Summary:
    targets = [
        Target("Disk", "", "30 days; the last good point always."),
        Target("Bucket", "Copied every Sunday at 05:00.", "12 months; the last good point always."),
    ]
    runs = [utc_now() + timedelta(days=day) for day in range(1, 4)]
    when = "Every day at 02:00, Europe/Berlin"
    return Summary(["/srv/wiki"], "2 rules of yours", when, targets, "Europe/Berlin", runs)
