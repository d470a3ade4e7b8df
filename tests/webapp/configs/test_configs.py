"""The pages and forms of configs."""

from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.configs import configs
from core.db import db, write
from core.jobs import jobs
from core.models import Config
from tests.core.making import run
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def form(world: World, **changes: object) -> dict[str, object]:
    """Return a good form, with changes."""
    return {
        "name": "Made here",
        "paths": str(world.tree),
        "schedule": "weekly",
        "time": "04:05",
        "weekday": "1",
        "timezone": "Europe/Berlin",
        "destinations.0.retention.days": "30",
        "destinations.0.retention.max_backups": "",
        "compression": "auto",
        "full_read_days": "7",
        **changes,
    }


def test_a_config_is_made_as_the_form_says(world: World, as_: As) -> None:
    data = form(world, exclude="*.tmp\n\n  cache  \n", exclude_caches="yes", exclude_larger_than="2G")
    answer = as_("admin").post("/configs", data)
    with world.app.app_context():
        (config,) = (one for one in configs.list_all() if one.name == "Made here")
        assert answer.headers["Location"] == f"/configs/{config.id}"
        assert (config.cron, config.timezone) == ("5 4 * * 1", "Europe/Berlin")
        assert config.source["exclude"] == ["*.tmp", "cache"]
        assert (config.source["exclude_caches"], config.source["one_file_system"]) == (True, False)
        assert config.retention == {"days": 30, "max_backups": None}


def test_a_form_with_faults_comes_back_whole_and_saves_nothing(world: World, as_: As) -> None:
    data = form(
        world, name="Unsaved", paths="not/absolute", exclude="[", timezone="Mars/Base", exclude_caches="yes"
    )
    response = as_("admin").post("/configs", data)
    assert response.status_code == 422
    page = response.text
    assert problems_of(page) == []
    for typed in ('value="Unsaved"', "not/absolute", 'value="Mars/Base"', 'value="04:05"'):
        assert typed in page
    assert re.search(r'name="exclude_caches" value="yes" checked', page)
    assert 'aria-invalid="true"' in page
    with world.app.app_context():
        assert "Unsaved" not in [one.name for one in configs.list_all()]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"time": "25:00"}, "time"),
        ({"schedule": "custom", "cron": ""}, "cron"),
        ({"schedule": "custom", "cron": "61 * * * *"}, "cron"),
        ({"schedule": "monthly", "monthday": "32"}, "monthday"),
        ({"destinations.0.retention.days": "many"}, "destinations.0.retention.days"),
        ({"full_read_days": "0"}, "full_read_days"),
        ({"exclude_larger_than": "big"}, "exclude_larger_than"),
        ({"paths": ""}, "paths"),
        ({"name": ""}, "name"),
        ({"name": "Spare"}, "name"),
    ],
)
def test_a_message_stands_at_its_field(world: World, as_: As, changes: dict[str, object], field: str) -> None:
    response = as_("admin").post("/configs", form(world, **changes))
    assert response.status_code == 422
    assert f'id="{field}-error"' in response.text


def test_a_change_keeps_what_the_form_does_not_show(world: World, as_: As) -> None:
    browser = as_("admin")
    browser.post(f"/configs/{world.spare_config_id}/pause")
    page = browser.get(f"/configs/{world.spare_config_id}/edit").text
    assert 'value="Spare"' in page
    browser.post(f"/configs/{world.spare_config_id}", form(world, name="Spare", schedule="manual"))
    with world.app.app_context():
        config = configs.get(world.spare_config_id)
        assert (config.enabled, config.cron) == (False, "")
    browser.post(f"/configs/{world.spare_config_id}/resume")
    with world.app.app_context():
        assert configs.get(world.spare_config_id).enabled


def test_the_summary_says_the_form_in_words(world: World, as_: As) -> None:
    page = as_("admin").post("/configs/summary", form(world), htmx=True).text
    assert "every Monday at 04:05, Europe/Berlin" in page
    assert page.count("<li>") == 5
    assert "30 days; the last good point always" in page
    assert problems_of(f'<section id="config-summary">{page}</section>') == []


def test_the_summary_of_half_a_form_is_no_error(world: World, as_: As) -> None:
    data = {"schedule": "custom", "cron": "* *", "destinations.0.retention.days": "x", "paths": ""}
    response = as_("admin").post("/configs/summary", data, htmx=True)
    assert response.status_code == 200
    assert "Nothing yet" in response.text
    assert "five fields" in response.text


def test_a_shorter_rule_says_which_points_would_go(world: World, as_: As) -> None:
    data = {**form(world), "config_id": world.config_id, "destinations.0.retention.max_backups": "1"}
    page = as_("admin").post("/configs/summary", data, htmx=True).text
    assert "1 point of 2 would go to the trash" in page


def test_a_preview_counts_and_saves_nothing(world: World, as_: As) -> None:
    browser = as_("admin")
    fragment = browser.post("/configs/preview", form(world, name="", exclude="*.bin"), htmx=True).text
    assert problems_of(fragment) == []
    assert re.search(r"<h3>\s*\d+ files, \d", fragment)
    assert "*.bin" in fragment
    whole = browser.post("/configs/preview", form(world, name="Not yet")).text
    assert whole.startswith("<!doctype html>")
    assert 'value="Not yet"' in whole
    assert 'aria-label="Preview"' in whole
    with world.app.app_context():
        assert "Not yet" not in [one.name for one in configs.list_all()]


def test_a_preview_of_what_is_not_there_says_so(world: World, as_: As) -> None:
    data = form(world, paths=str(world.folder / "gone"))
    response = as_("admin").post("/configs/preview", data, htmx=True)
    assert "gone" in response.text
    assert "tone-bad" in response.text
    assert as_("admin").post("/configs/preview", data).status_code == 422


def test_folders_are_listed_and_trouble_is_said(world: World, as_: As) -> None:
    browser = as_("admin")
    page = browser.fragment(f"/configs/folders?path={world.tree}").text
    assert f'data-add-folder="{world.tree}/letters"' in page
    assert "link" not in [name.strip() for name in re.findall(r">([^<]+)</button>", page)]
    assert "cannot be listed" in browser.fragment(f"/configs/folders?path={world.tree}/nope").text
    assert problems_of(browser.fragment("/configs/folders?path=../../etc").text) == []


def test_back_up_now_shows_progress_in_place_and_once(world: World, as_: As) -> None:
    browser, url = as_("operator"), f"/configs/{world.config_id}/back-up"
    fragment = browser.post(url, htmx=True)
    found = re.search(r'<section id="job-(\d+)-progress"[^>]+hx-trigger="every 1s"', fragment.text)
    assert found is not None
    # The first line of the page says at once that it runs.
    assert json.loads(fragment.headers["HX-Trigger"])["job-started"] == {"value": int(found[1])}
    head = browser.fragment(f"/configs/{world.config_id}/head").text
    assert "job-started from:body" in head
    assert "is being backed up now" in head
    again = browser.post(url, htmx=True).text
    assert f'id="job-{found[1]}-progress"' in again
    assert browser.post(url).headers["Location"] == f"/configs/{world.config_id}"
    with world.app.app_context():
        assert run(jobs.get(int(found[1]))).status == "completed"


def test_a_config_that_needs_somebody_says_so_first(world: World, as_: As) -> None:
    with world.app.app_context():
        (gone,) = (one for one in configs.list_all() if one.name == "Gone")
        assert alerts.list_open(config_id=gone.id)
    page = as_("viewer").get(f"/configs/{gone.id}").text
    assert "Gone needs you" in page
    assert '<span class="text-bad">never</span>' in page
    overview = as_("viewer").get("/").text
    assert "1 config needs you." in overview
    assert f"/jobs/{world.failed_job_id}" in overview


def test_deleting_says_what_goes_and_keeps_the_points(world: World, as_: As) -> None:
    browser = as_("admin")
    with world.app.app_context():
        run(jobs.get(world.queued_job_id))
        before = db.session.get_one(Config, world.spare_config_id).name
    page = browser.get(f"/configs/{world.spare_config_id}/delete").text
    assert "1 point" in page
    refused = browser.post(f"/configs/{world.spare_config_id}/delete")
    assert refused.status_code == 409
    assert "still queued" in refused.text  # the clean-up that follows each backup
    with world.app.app_context():
        for job in jobs.list_jobs(status="pending", config_id=world.spare_config_id).items:
            run(job)
    assert browser.post(f"/configs/{world.spare_config_id}/delete").status_code == 303
    assert browser.get(f"/configs/{world.spare_config_id}/edit").status_code == 404
    shown = browser.get(f"/configs/{world.spare_config_id}").text
    assert f"{before} is deleted." in shown
    assert "1 point" in shown


def test_retention_by_hand_says_how_many_go_and_goes(world: World, as_: As) -> None:
    browser = as_("admin")
    with world.app.app_context(), write() as session:
        config = session.scalar(select(Config).where(Config.id == world.config_id))
        assert config is not None
        config.retention = {"days": None, "max_backups": 1}
    page = browser.get(f"/configs/{world.config_id}").text
    assert "goes to the trash next: not among the newest 1 point" in page
    found = re.search(r"(?:Move|Confirm: move) (\d+) points? to the trash now", page)
    assert found is not None
    answer = browser.post(f"/configs/{world.config_id}/clean-up", {"most": found[1]})
    with world.app.app_context():
        job = run(jobs.get(int(answer.headers["Location"].rpartition("/")[2])))
        assert (job.kind, job.status) == ("retention", "completed"), job.summary
    page = browser.get(f"/configs/{world.config_id}").text
    assert page.count("In the trash") == int(found[1])
    assert "Move " not in page


@pytest.mark.parametrize("then", ["save", "back-up"])
def test_a_folder_that_is_not_there_must_be_confirmed(world: World, as_: As, then: str) -> None:
    browser, away = as_("admin"), world.folder / "not" / "mounted"
    data = form(world, name=f"Gone {then}", paths=f"{world.tree}\n{away}", then=then)
    asked = browser.post("/configs", data)
    assert asked.status_code == 422
    assert f"{away} does not exist now; a backup would fail." in asked.text
    assert 'name="missing_is_meant"' in asked.text
    assert problems_of(asked.text) == []
    with world.app.app_context():
        assert f"Gone {then}" not in [config.name for config in configs.list_all()]


def test_saving_a_folder_that_is_not_there_is_allowed_and_said(world: World, as_: As) -> None:
    browser, away = as_("admin"), world.folder / "not" / "mounted"
    data = form(world, name="Away", paths=f"{world.tree}\n{away}", then="save", missing_is_meant="yes")
    page = browser.get(browser.post("/configs", data).headers["Location"]).text
    assert f"{away} does not exist now; a backup would fail." in page
    assert "Away is saved." in page
    data = form(world, name="Here", paths=str(world.tree), then="save")
    page = browser.get(browser.post("/configs", data).headers["Location"]).text
    assert "does not exist now" not in page
