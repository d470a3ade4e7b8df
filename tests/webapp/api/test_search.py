"""Search, versions, differences of points and the catalog, for scripts."""

from __future__ import annotations

from typing import get_args

import pytest

from core.access.roles import Role
from core.jobs import jobs
from core.points import catalog_fill
from tests.core.making import run
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.world import World


def test_a_file_is_found_page_by_page(world: World, admin: Caller) -> None:
    found = admin.get(f"/search?q=txt&config={world.config_id}&perPage=2")
    assert (len(found["items"]), found["coverage"]["catalogued"]) == (2, found["coverage"]["points"])
    assert found["total"] == 4
    rest = admin.get(f"/search?q=txt&config={world.config_id}&perPage=2&page=2")
    paths = [each["path"] for each in [*found["items"], *rest["items"]]]
    assert len(set(paths)) == 4
    (one,) = admin.get("/search?q=new.txt&config=" + world.config_id)["items"]
    assert (one["points"], one["newest"]["id"]) == (1, world.newer_point_id)
    assert admin.get("/search?q=no-such-name-at-all")["items"] == []
    admin.get("/search", 422)
    admin.get("/search?q=*", 422)
    admin.get("/search?q=x&config=nobody", 404)


def test_versions_of_a_file(world: World, admin: Caller) -> None:
    found = admin.get(f"/search/versions?config={world.config_id}&path={world.tree}/letters/old/first.txt")
    assert (found["total"], found["points"], found["absent"]) == (1, 2, 0)
    assert found["items"][0]["newest"]["id"] == world.newer_point_id
    admin.get(f"/search/versions?config={world.config_id}&path=relative", 422)


def test_what_changed_between_points(world: World, admin: Caller, caller: Call) -> None:
    pair = f"/diffs/{world.point_id}/{world.newer_point_id}"
    found = admin.get(f"{pair}?path={world.tree}/letters")
    assert [(each["path"], each["change"]) for each in found["items"] if each["kind"] == "file"] == [
        (f"{world.tree}/letters/new.txt", "added")
    ]
    assert (found["added"], found["complete"], found["notListed"]) == (1, True, 0)
    lines = admin.get(f"{pair}/file?path={world.tree}/letters/new.txt")
    assert (lines["sizeBefore"], lines["sizeAfter"]) == (None, 4)
    assert {"sign": "+", "text": "new"} in lines["lines"]
    caller("operator").get(f"{pair}/file?path={world.tree}/letters/new.txt", 403)
    caller("viewer").get(pair)
    admin.get(f"{pair}?path=/no/such/folder", 404)
    assert admin.send("POST", f"{pair}/file", {"path": f"{world.tree}/letters/new.txt"})["hidden"] is False


@pytest.mark.parametrize("action", ["fill", "rebuild"])
def test_the_catalog_is_filled_by_a_job(
    action: str, world: World, admin: Caller, enqueued: list[int]
) -> None:
    job = admin.send("POST", f"/catalog/{action}", status=202)
    assert admin.send("POST", f"/catalog/{action}", status=202)["id"] == job["id"]
    assert set(enqueued) == {job["id"]}
    with world.app.app_context():
        ended = run(jobs.get(job["id"]))
        assert (ended.status, "search knows" in ended.summary) == ("completed", True), ended.summary
    found = admin.get("/catalog")
    assert found["points"] == found["catalogued"] > 0


def test_only_operators_read_why_search_does_not_know_all(world: World, caller: Call) -> None:
    with world.app.app_context():
        catalog_fill.note_trouble("sftp://backup@server.example/secret-place is away")
    told, roles = {}, get_args(Role)
    try:
        for who in roles:
            asked = caller(who)
            answers = [asked.get("/catalog"), asked.get("/search?q=txt")["coverage"]]
            told[who] = [bool(each["trouble"]) for each in answers]
    finally:
        with world.app.app_context():
            catalog_fill.note_trouble("")
    assert told == {"viewer": [False, False], "operator": [True, True], "admin": [True, True]}
