"""Pins, the trash and the brake, on their pages and as commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from core import configs, points, trash
from core.db import write
from core.models import Config
from tests.core.making import back_up, make_config
from tests.webapp.conftest import As
from tests.webapp.world import World


@pytest.fixture
def app(world: World) -> Iterator[Flask]:
    with world.app.app_context():
        yield world.app


@pytest.fixture
def point_ids(app: Flask, world: World) -> Iterator[list[int]]:
    """Three points of a config of their own, newest first."""
    config = make_config(world.tree / "letters" / "old", "Three")
    for _ in range(3):
        back_up(config.id)
    yield [point.id for point in points.good_points(config.id)]
    with write() as session:
        session.get_one(Config, config.id).retention = {"days": 14, "max_backups": None}
    configs.delete(config.id)


def throw_in(point_id: int) -> int:
    """Put a point into the trash; return the id of its copy."""
    copy = points.get(point_id).copies[0]
    trash.throw_in(copy.repository_id, {point_id: "not among the newest 2 points"})
    return copy.id


def test_a_pin_is_set_shown_and_taken_away(point_ids: list[int], as_: As) -> None:
    url = f"/points/{point_ids[-1]}"
    page = as_("operator").post(f"{url}/pin", {"note": "before <b>version 5</b>"})
    assert page.status_code == 303
    shown = as_("viewer").get(url).text
    assert "by otto" in shown
    assert "before &lt;b&gt;version 5" in shown
    config_id = points.get(point_ids[-1]).config_id
    assert "pinned by otto: before" in as_("viewer").get(f"/configs/{config_id}").text
    as_("admin").post(f"{url}/unpin")
    assert "by otto" not in as_("viewer").get(url).text


def test_what_is_in_the_trash_is_listed_and_taken_out(point_ids: list[int], as_: As) -> None:
    copy_id = throw_in(point_ids[-1])
    config_id = points.get(point_ids[-1]).config_id
    page = as_("operator").get(f"/trash?config={config_id}").text
    assert "not among the newest 2 points" in page
    assert f'value="{copy_id}"' in page
    assert "in 7 days" in page
    assert "Take out" not in as_("viewer").get("/trash").text
    empty = as_("operator").post("/trash/take-out", {"config": config_id})
    assert empty.status_code == 303
    as_("operator").post("/trash/take-out", {"copy": copy_id})
    assert points.is_good(points.get(point_ids[-1]))
    again = as_("operator").post("/trash/take-out", {"copy": copy_id})
    assert "not in the trash any more" in as_("operator").get(again.headers["Location"]).text


def test_the_brake_is_confirmed_on_the_page(point_ids: list[int], app: Flask, as_: As) -> None:
    config_id = points.get(point_ids[0]).config_id
    with write() as session:
        session.get_one(Config, config_id).retention = {"days": None, "max_backups": 1}
    page = as_("admin").get(f"/configs/{config_id}").text
    assert "The brake holds" in page
    found = re.search(r'name="most" value="(\d+)"', page)
    assert found is not None
    assert found[1] == "2"
    assert "The brake holds" not in as_("operator").get(f"/configs/{config_id}").text


def test_the_commands_do_the_same(point_ids: list[int], world: World) -> None:
    oldest = point_ids[-1]
    runner = world.app.test_cli_runner()
    assert runner.invoke(args=["backup", "pin", str(oldest), "--note", "by hand"]).exit_code == 0
    assert points.get(oldest).pin_note == "by hand"
    assert runner.invoke(args=["backup", "unpin", str(oldest)]).exit_code == 0
    throw_in(oldest)
    listed = json.loads(runner.invoke(args=["backup", "trash", "--json"]).output)["trash"]
    assert [row["point"] for row in listed] == [oldest]
    assert "not among the newest" in runner.invoke(args=["backup", "trash", "--config", "Three"]).output
    assert runner.invoke(args=["backup", "untrash", str(oldest)]).exit_code == 0
    assert points.is_good(points.get(oldest))
    refused = runner.invoke(args=["backup", "untrash", str(oldest)])
    assert refused.exit_code == 1
    assert "Not in the trash" in refused.output
