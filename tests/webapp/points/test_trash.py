"""Pins, the trash and the brake, on their pages and as commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from core.configs import configs
from core.db import write
from core.jobs import jobs
from core.models import Config
from core.points import points
from core.retention import trash
from tests.core.making import back_up, make_config
from tests.webapp.conftest import As
from tests.webapp.world import World


@pytest.fixture
def points_of_three(world: World) -> Iterator[tuple[str, list[int]]]:
    """A config of its own, and its three points, newest first."""
    with world.app.app_context():
        config_id = make_config(world.tree / "letters" / "old", "Three").id
        for _ in range(3):
            back_up(config_id)
        point_ids = [point.id for point in points.good_points(config_id)]
    yield config_id, point_ids
    with world.app.app_context():
        for job_id in jobs.queued_followers(config_id):
            jobs.request_cancel(job_id)
        configs.delete(config_id)


def throw_in(world: World, point_id: int) -> int:
    """Put a point into the trash; return the id of its copy."""
    with world.app.app_context():
        copy = points.get(point_id).copies[0]
        copy_id = copy.id
        trash.throw_in(copy.repository_id, {point_id: "not among the newest 2 points"})
        return copy_id


def is_good(world: World, point_id: int) -> bool:
    with world.app.app_context():
        return points.is_good(points.get(point_id))


def test_a_pin_is_set_shown_and_taken_away(points_of_three: tuple[str, list[int]], as_: As) -> None:
    config_id, point_ids = points_of_three
    url = f"/points/{point_ids[-1]}"
    page = as_("operator").post(f"{url}/pin", {"note": "before <b>version 5</b>"})
    assert page.status_code == 303
    shown = as_("viewer").get(url).text
    assert "by otto" in shown
    assert "before &lt;b&gt;version 5" in shown
    assert "pinned by otto: before" in as_("viewer").get(f"/configs/{config_id}").text
    as_("admin").post(f"{url}/unpin")
    assert "by otto" not in as_("viewer").get(url).text


def test_what_is_in_the_trash_is_listed_and_taken_out(
    points_of_three: tuple[str, list[int]], world: World, as_: As
) -> None:
    config_id, point_ids = points_of_three
    copy_id = throw_in(world, point_ids[-1])
    browser = as_("operator")
    page = browser.get(f"/trash?config={config_id}").text
    assert "not among the newest 2 points" in page
    assert f'value="{copy_id}"' in page
    assert "in 7 days" in page
    assert "Take out of the trash" not in as_("viewer").get("/trash").text
    empty = browser.post("/trash/take-out", {"config": config_id})
    assert "Tick what" in browser.get(empty.headers["Location"]).text
    browser.post("/trash/take-out", {"copy": copy_id})
    assert is_good(world, point_ids[-1])
    again = browser.post("/trash/take-out", {"copy": copy_id})
    assert "not in the trash any more" in browser.get(again.headers["Location"]).text


def test_the_brake_is_confirmed_on_the_page(
    points_of_three: tuple[str, list[int]], world: World, as_: As
) -> None:
    config_id, _ = points_of_three
    with world.app.app_context(), write() as session:
        session.get_one(Config, config_id).retention = {"days": None, "max_backups": 1}
    page = as_("admin").get(f"/configs/{config_id}").text
    assert "The brake holds" in page
    found = re.search(r'name="most" value="(\d+)"', page)
    assert found is not None
    assert found[1] == "2"
    assert "The brake holds" not in as_("operator").get(f"/configs/{config_id}").text


def test_the_commands_do_the_same(points_of_three: tuple[str, list[int]], world: World) -> None:
    oldest = points_of_three[1][-1]
    runner = world.app.test_cli_runner()
    pinned = runner.invoke(args=["backup", "pin", str(oldest), "--note", "by hand"])
    assert (pinned.exit_code, pinned.output) == (0, f"Point {oldest} is pinned: no rule removes it.\n")
    assert runner.invoke(args=["backup", "unpin", str(oldest)]).exit_code == 0
    throw_in(world, oldest)
    listed = json.loads(runner.invoke(args=["backup", "trash", "--json"]).output)["trash"]
    assert [row["point"] for row in listed] == [oldest]
    assert "not among the newest" in runner.invoke(args=["backup", "trash", "--config", "Three"]).output
    assert runner.invoke(args=["backup", "untrash", str(oldest)]).exit_code == 0
    assert is_good(world, oldest)
    refused = runner.invoke(args=["backup", "untrash", str(oldest)])
    assert refused.exit_code == 1
    assert "Not in the trash" in refused.output
