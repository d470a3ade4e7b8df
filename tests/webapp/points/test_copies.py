"""Copies on more than one storage: the gap is shown and closed; pages say which copy they read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from core.backups import copying
from core.configs import configs
from core.configs.destinations import DestinationInput
from core.jobs import jobs
from core.points import points
from core.storages import recovery, storages
from core.storages.storage_setup import create_local
from tests.core.making import back_up, run
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@pytest.fixture(scope="module")
def second(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the world's config a second destination that lacks every point; return its folder."""
    folder: Path = tmp_path_factory.mktemp("second") / "holdfast"
    with world.app.app_context():
        create_local("Second disk", str(folder), recovery.stored() or "")
        given = configs.to_input(configs.get(world.config_id))
        new = next(one.id for one in storages.list_repositories() if one.storage.name == "Second disk")
        given.destinations = [*given.destinations, DestinationInput(repository_id=new, tier="hot")]
        configs.update(world.config_id, given)
    return folder


@pytest.fixture(scope="module")
def copied(world: World, second: Path) -> int:
    """Let the second destination have every point; return a job that copied some."""
    with world.app.app_context():
        for gap in copying.gaps(configs.get(world.config_id)):
            if gap.missing:
                run(gap.job or copying.sync(gap.destination.id))
        return jobs.list_jobs(kind="copy").items[0].id


def section(page: str) -> str:
    """Return the part of a config's page that says where its points are."""
    found = re.search(r'<section id="destinations".*?</section>', page, re.DOTALL)
    assert found, page
    return found[0]


def test_the_gap_is_shown_and_closed(world: World, as_: As, second: Path) -> None:
    browser = as_("operator")
    page = browser.get(f"/configs/{world.config_id}").text
    assert problems_of(page) == []
    before = section(page)
    assert "To be copied" in before
    assert "Sync missing" in before
    assert "Sync missing" not in section(as_("viewer").get(f"/configs/{world.config_id}").text)
    (url,) = re.findall(r'action="(/configs/[^"]+/sync/\d+)"', before)
    fragment = browser.post(url, htmx=True)
    assert problems_of(fragment.text) == []
    assert "Copy queued" in fragment.text
    assert "every 3s" in fragment.text
    assert browser.post(url).headers["Location"].endswith("#destinations"), "pressed twice is no error"
    with world.app.app_context():
        (job,) = jobs.list_jobs(kind="copy").items
        done = run(job)
        assert done.status == "completed", done.summary
        job_id = job.id
    assert f"/jobs/{job_id}" in fragment.text
    polled = browser.fragment(f"/configs/{world.config_id}/destinations?copying=1")
    assert "job-ended" in polled.headers["HX-Trigger"]
    after = section(browser.get(f"/configs/{world.config_id}").text)
    assert after.count("Complete") == 2
    assert "Sync missing" not in after
    assert "every 3s" not in after


def test_a_copy_has_a_page_of_its_own(as_: As, copied: int) -> None:
    browser = as_("admin")
    page = browser.get(f"/jobs/{copied}").text
    assert problems_of(page) == []
    assert "Copy of Letters &amp; &lt;more&gt; to Second disk is complete" in page
    assert "Copies to" in page
    assert "Second disk" in page
    (row,) = re.findall(rf'href="/jobs/{copied}".*?</tr>', browser.get("/jobs?kind=copy").text, re.DOTALL)
    assert 'data-label="files">2 points<' in row


def test_lists_say_on_which_storages_a_point_is(world: World, as_: As, copied: int) -> None:
    browser = as_("viewer")
    for url in ("/points", f"/configs/{world.config_id}"):
        page = browser.get(url).text
        assert re.search(r'data-label="copies on">[^<]* and Second disk<', page), url


def test_a_page_reads_the_copy_that_was_chosen_and_says_so(world: World, as_: As, copied: int) -> None:
    browser = as_("admin")
    page = browser.get(f"/points/{world.point_id}").text
    assert problems_of(page) == []
    (copy_id,) = re.findall(r'<option value="(\d+)"[^>]*>Second disk', page)
    chosen = browser.get(f"/points/{world.point_id}?copy={copy_id}").text
    assert problems_of(chosen) == []
    assert "the copy on Second disk" in chosen
    folder = re.findall(r'hx-get="(/points/\d+/folder[^"]+)"', chosen)[0]
    assert f"copy={copy_id}" in folder
    assert f"copy_id={copy_id}" in "".join(re.findall(r'href="(/restores/new[^"]+)"', chosen))
    form = browser.get(f"/restores/new?point_id={world.point_id}&copy_id={copy_id}").text
    assert re.search(rf'<option value="{copy_id}" selected>Second disk', form)
    target = world.folder / "from-second"
    data = {"point_id": world.point_id, "all": "yes", "target_path": str(target), "conflict": "keep"}
    answer = browser.post("/restores", {**data, "copy_id": copy_id})
    assert answer.status_code == 303, answer.text
    with world.app.app_context():
        done = run(jobs.get(int(answer.headers["Location"].rpartition("/")[2])))
        assert done.status == "completed", done.summary
    page = browser.get(f"/jobs/{done.id}").text
    assert "<dt>Read from</dt><dd>Second disk</dd>" in page


def test_a_destination_that_is_away_degrades_and_says_why(
    world: World, as_: As, second: Path, copied: int
) -> None:
    browser, away = as_("admin"), second.with_name("unplugged")
    shutil.move(second, away)
    try:
        with world.app.app_context():
            storages.check_all()
        page = browser.get(f"/configs/{world.config_id}").text
        assert "is degraded: it is backed up" in page
        assert "Second disk is unreachable" in page
        assert re.search(r"Unreachable</span>", section(page))
        assert re.search(r'id="rail-storages".*?<span class="count count-bad">1', page, re.DOTALL)
        overview = browser.get("/").text
        assert "Degraded" in overview
        assert problems_of(overview) == []
        assert browser.get(f"/points/{world.point_id}").status_code == 200
    finally:
        shutil.move(away, second)
        with world.app.app_context():
            storages.check_all()


def test_a_backup_that_went_elsewhere_is_a_warning_with_words(world: World, as_: As, copied: int) -> None:
    with world.app.app_context():
        first = storages.get(world.storage_id)
        path = Path(first.settings["path"])
        shutil.move(path, path.with_name("unplugged"))
        try:
            job = back_up(world.config_id)
        finally:
            shutil.move(path.with_name("unplugged"), path)
        job_id, status, summary = job.id, job.status, job.summary
        assert points.latest(world.config_id) is not None
        storages.check_all()
    assert status == "warning", summary
    page = as_("viewer").get(f"/jobs/{job_id}").text
    assert "<dt>Written to</dt><dd>Second disk</dd>" in page
    assert "Local disk is unreachable" in page
    assert "To be copied" in section(as_("viewer").get(f"/configs/{world.config_id}").text)
