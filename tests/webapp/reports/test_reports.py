"""Reports, metrics and the table of jobs as browsers, Prometheus and commands get them."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.access import metrics_access
from core.db import utc_now, write
from core.models import Report
from core.reports import reports
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@pytest.fixture(scope="module")
def day(world: World) -> str:
    """Return a day that has a report."""
    with world.app.app_context():
        document = reports.preview()
        day = date.fromisoformat(str(document["day"]))
        with write() as session:
            short = reports.in_short(document)
            row = Report(day=day, document=document, created_at=utc_now(), error="It is away.", **short)
            session.add(row)
    return str(document["day"])


def test_pages_of_reports_are_sound(world: World, as_: As, day: str) -> None:
    browser = as_("admin")
    for url in ("/reports", "/reports/today", f"/reports/{day}", "/reports/compliance", "/settings/metrics"):
        page = browser.get(url)
        assert (page.status_code, problems_of(page.text)) == (200, []), url
    assert "It is away." in browser.get("/reports").text
    assert "Letters &amp; &lt;more&gt;" in browser.get(f"/reports/{day}").text
    assert json.loads(browser.get(f"/reports/{day}.json").text)["day"] == day


@pytest.mark.parametrize("day", ["1999-01-01", "tomorrow", "2026-13-45", "..%2Fx"])
def test_a_day_without_a_report_is_not_found(world: World, as_: As, day: str) -> None:
    assert as_("viewer").get(f"/reports/{day}").status_code == 404


def test_jobs_are_exported_as_filtered(world: World, as_: As) -> None:
    browser = as_("viewer")
    answer = browser.get("/reports/jobs.csv?kind=backup&status=failed")
    assert answer.content_type == "text/csv; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0].startswith("job,kind,config,status")
    assert [line.split(",")[0] for line in lines[1:]] == [str(world.failed_job_id)]
    assert "kind=backup" in browser.get("/jobs?kind=backup").text


def test_metrics_are_closed_then_open_to_the_token_alone(world: World, as_: As) -> None:
    stranger, admin = as_("stranger"), as_("admin")
    assert stranger.get("/metrics").status_code == 404
    page = admin.post("/settings/metrics/token").text
    assert problems_of(page) == []
    found = re.search(r"hfm_[\w-]+", page)
    assert found is not None
    assert "hfm_" not in admin.get("/settings/metrics").text
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {found[0]}"}):
        answer = stranger.get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert "holdfast_" not in answer.text
    answer = stranger.get("/metrics", headers={"Authorization": f"Bearer {found[0]}"})
    assert answer.status_code == 200
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    labels = {sample.labels["config"] for sample in families["holdfast_config_state"].samples}
    assert "Letters & <more>" in labels
    assert families["holdfast_storage_reachable"].samples[0].value == 1
    admin.post("/settings/metrics/revoke")
    assert stranger.get("/metrics").status_code == 404


def test_metrics_are_open_to_an_address(world: World, as_: As) -> None:
    admin = as_("admin")
    bad = admin.post("/settings/metrics/networks", {"networks": "everybody"})
    assert (bad.status_code, problems_of(bad.text)) == (422, [])
    admin.post("/settings/metrics/networks", {"networks": "127.0.0.1"})
    assert as_("stranger").get("/metrics").status_code == 200
    with world.app.app_context():
        metrics_access.set_networks("")


def test_the_command_prints_reports(world: World, day: str) -> None:
    runner = world.app.test_cli_runner()
    today = runner.invoke(args=["backup", "report"])
    assert today.exit_code == 0, today.output
    assert today.output.startswith("Report of 20")
    stored = runner.invoke(args=["backup", "report", "--day", day, "--json"])
    assert json.loads(stored.output)["format"] == "holdfast-report/1"
    compliance = runner.invoke(args=["backup", "report", "--compliance"])
    assert "No copy is offsite." in compliance.output
    assert "Whether retention complies: as of 20" in compliance.output
    assert runner.invoke(args=["backup", "report", "--day", "soon"]).exit_code == 2
    missing = runner.invoke(args=["backup", "report", "--day", "1999-01-01"])
    assert (missing.exit_code, "There is no report of 1999-01-01" in missing.output) == (1, True)


def test_the_overview_says_how_many_backups_ended_well(world: World, as_: As) -> None:
    page = as_("viewer").get("/").text
    assert "66.6 % of the backups of 30 days ended well" in page
    assert problems_of(page) == []
