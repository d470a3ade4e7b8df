"""Many jobs at once, from the list: run again, cancel, pin, delete; each that cannot be is named."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from core.jobs import jobs
from core.points import points
from tests.core.making import back_up, make_config
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@dataclass(frozen=True)
class Made:
    """A config of its own, and three backups of it, oldest first."""

    config_id: str
    jobs: list[int]


@pytest.fixture
def made(world: World, request: pytest.FixtureRequest) -> Made:
    folder = world.folder / request.node.name
    folder.mkdir()
    with world.app.app_context():
        config_id = make_config(folder, request.node.name).id
        found = []
        for number in range(3):
            (folder / f"{number}.txt").write_text(str(number))
            found.append(back_up(config_id).id)
    return Made(config_id, found)


def send(as_: As, where: str, role: str = "admin", **fields: object) -> str:
    """Press a button below the list; return what is said after."""
    browser = as_(role)
    answer = browser.post(where, fields)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["Location"]).text
    found = re.search(r'<div id="notices".*?<p>(.*?)</p>', page, re.DOTALL)
    assert found, page
    return found[1]


def test_a_config_is_backed_up_once_however_many_of_its_jobs_are_ticked(
    made: Made, as_: As, world: World
) -> None:
    assert send(as_, "/jobs/many", "operator", do="run", job=made.jobs) == "1 backup was asked for."
    with world.app.app_context():
        pending = jobs.pending_of(made.config_id)
        assert pending is not None
        assert pending.trigger == "manual"
        number = pending.id
    assert "Not done" in send(as_, "/jobs/many", do="run", job=made.jobs[:1])
    assert send(as_, "/jobs/many", do="cancel", job=[number]) == "1 job was asked to stop."
    with world.app.app_context():
        assert jobs.get(number).status == "cancelled"


def test_what_has_ended_is_not_cancelled_and_says_so(made: Made, as_: As) -> None:
    words = send(as_, "/jobs/many", do="cancel", job=made.jobs)
    assert words.startswith(f"Not done: Job {made.jobs[2]} has ended already: completed.")


def test_points_are_pinned_by_their_jobs(made: Made, as_: As, world: World) -> None:
    assert send(as_, "/jobs/many", "operator", do="pin", job=made.jobs[:2]) == "2 points are pinned."
    with world.app.app_context():
        pinned = [point.pinned_by for point in points.list_for(made.config_id) if point.pinned_at]
    assert pinned == ["otto", "otto"]


def test_deleting_says_what_goes_and_leaves_what_must_stay(made: Made, as_: As, world: World) -> None:
    page = as_("admin").post("/jobs/many/ask", {"job": made.jobs, "back": "/jobs?kind=backup"})
    assert page.status_code == 200
    assert problems_of(page.text) == []
    assert "puts 3 points into the trash" in page.text
    send(as_, "/jobs/many", do="pin", job=made.jobs[:1])
    words = send(as_, "/jobs/many/delete", job=made.jobs, confirmed="yes", back="/jobs?kind=backup")
    assert words.startswith("2 jobs are deleted. Not done: Point ")
    assert "is pinned." in words
    with world.app.app_context():
        left = jobs.list_jobs(config_id=made.config_id, kind="backup").items
        assert [job.id for job in left] == made.jobs[:1]


def test_without_the_brake_s_tick_most_stays(made: Made, as_: As, world: World) -> None:
    words = send(as_, "/jobs/many/delete", job=made.jobs)
    assert words.startswith("1 job is deleted. Not done:")
    with world.app.app_context():
        left = jobs.list_jobs(config_id=made.config_id, kind="backup").items
        assert sorted(job.id for job in left) == made.jobs[1:]  # the oldest went
        assert sum(points.is_good(point) for point in points.list_for(made.config_id)) == 2


def test_of_all_points_the_newest_stays(made: Made, as_: As, world: World) -> None:
    words = send(as_, "/jobs/many/delete", job=made.jobs, confirmed="yes")
    assert words.startswith("2 jobs are deleted. Not done: Point ")
    assert "is the last good one" in words
    with world.app.app_context():
        left = jobs.list_jobs(config_id=made.config_id, kind="backup").items
        assert [job.id for job in left] == made.jobs[-1:]


def test_a_job_that_is_gone_meanwhile_keeps_none_of_the_others(made: Made, as_: As) -> None:
    send(as_, "/jobs/many/delete", job=made.jobs[:1])
    words = send(as_, "/jobs/many", do="pin", job=made.jobs[:2])
    assert words.startswith(f"1 point is pinned. Not done: There is no job {made.jobs[0]}.")


def test_numbers_that_no_row_has_are_left_out(as_: As) -> None:
    browser, long = as_("admin"), "9" * 5000
    for text in (long, long[:19], "²", "٣"):
        assert send(as_, "/jobs/many", do="run", job=[text]) == "No job was ticked."
        assert browser.post("/trash/take-out", {"copy": [text]}).status_code == 303
        assert browser.get(f"/diffs?point={text}&other={text}").status_code == 404


def test_nothing_ticked_is_said(as_: As) -> None:
    assert send(as_, "/jobs/many", do="run") == "No job was ticked."
    assert send(as_, "/jobs/many/ask") == "No job was ticked."


def test_an_operator_deletes_nothing_and_cancels_no_restore(world: World, as_: As) -> None:
    assert as_("operator").post("/jobs/many/delete", {"job": ["1"]}).status_code == 403
    assert "Delete …" not in as_("operator").get("/jobs").text
    words = send(as_, "/jobs/many", "operator", do="cancel", job=[str(world.restore_job_id)])
    assert "only an admin cancels" in words


def test_the_list_comes_back_with_its_filters_and_leads_nowhere_else(as_: As) -> None:
    browser = as_("admin")
    here = browser.post("/jobs/many", {"do": "run", "back": "/jobs?kind=backup&page=2"})
    assert here.headers["Location"] == "/jobs?kind=backup&page=2"
    away = browser.post("/jobs/many", {"do": "run", "back": "//example.org/"})
    assert away.headers["Location"] == "/"


def test_what_cannot_be_pressed_is_refused(as_: As) -> None:
    assert as_("admin").post("/jobs/many", {"do": "explode", "job": ["1"]}).status_code == 400
