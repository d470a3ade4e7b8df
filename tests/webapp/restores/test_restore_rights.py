"""Restores by operators: offered and taken only where an admin has allowed them, by page, API and command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.access import restore_rights
from jobs import tasks
from tests.webapp.api.conftest import Caller, make_token
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@pytest.fixture(autouse=True)
def clean(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tasks, "enqueue", lambda ids: None)
    yield
    with world.app.app_context():
        restore_rights.set_folders([])
        restore_rights.set_folders([], world.host_id)


def allow(as_: As, folder: Path) -> None:
    answer = as_("admin").post("/settings/restore-folders", {"folders": f"{folder}\n"})
    assert answer.status_code == 303


def test_without_a_folder_nothing_is_offered(world: World, as_: As) -> None:
    operator = as_("operator")
    page = operator.get(f"/points/{world.point_id}").text
    assert "/restores/new" not in page
    answer = operator.get(f"/restores/new?point_id={world.point_id}")
    assert answer.status_code == 409
    assert "No folder is allowed" in answer.text


def test_with_one_the_page_says_where(world: World, as_: As, tmp_path: Path) -> None:
    allow(as_, tmp_path / "allowed")
    operator = as_("operator")
    assert "/restores/new" in operator.get(f"/points/{world.point_id}").text
    assert "/archive?" not in operator.get(f"/points/{world.point_id}").text
    page = operator.get(f"/restores/new?point_id={world.point_id}").text
    assert str(tmp_path / "allowed") in page
    assert problems_of(page) == []


def test_the_page_takes_only_what_is_allowed(world: World, as_: As, tmp_path: Path) -> None:
    allow(as_, tmp_path / "allowed")
    form = {"point_id": world.point_id, "all": "yes", "conflict": "keep"}
    there = as_("operator").post("/restores", {**form, "target_path": str(tmp_path / "allowed" / "x")})
    assert there.status_code == 303
    elsewhere = as_("operator").post("/restores", {**form, "target_path": str(tmp_path / "elsewhere")})
    assert elsewhere.status_code == 422
    assert "Operators restore below" in elsewhere.text
    assert as_("admin").post("/restores", {**form, "target_path": str(tmp_path / "any")}).status_code == 303
    assert (
        as_("viewer").post("/restores", {**form, "target_path": str(tmp_path / "allowed")}).status_code == 403
    )
    assert as_("operator").post("/restores/database", {"point_id": world.point_id}).status_code == 403


@pytest.mark.parametrize("below", ["letters/big.bin/x", "letters/x", "not there/x"])
def test_what_lies_elsewhere_is_not_tried_out_for_operators(
    world: World, as_: As, tmp_path: Path, below: str
) -> None:
    """Whatever is there, they are told the same, and nothing is looked at."""
    allow(as_, tmp_path / "allowed")
    form = {"point_id": world.point_id, "all": "yes", "conflict": "keep"}
    for url in ("/restores", "/restores/check"):
        answer = as_("operator").post(url, {**form, "target_path": str(world.tree / below)})
        assert answer.status_code == 422
        assert "Operators restore below" in answer.text
        assert "is not a folder" not in answer.text


def test_the_api_takes_no_more(world: World, as_: As, tmp_path: Path) -> None:
    allow(as_, tmp_path / "allowed")
    operator = Caller(world.app, make_token(world.app, "operator"))
    url = f"/jobs/{world.job_id}/restore"
    operator.send("POST", url, {"targetPath": str(tmp_path / "allowed")}, 202)
    operator.send("POST", url, {"targetPath": str(tmp_path / "elsewhere")}, 422)
    operator.send("POST", url, {"database": {"to": "x"}}, 403)
    body = {"pointId": world.point_id, "targetPath": "/etc"}
    operator.send("POST", "/restores", body, 422)


def test_a_folder_that_cannot_be_is_refused_in_the_form(world: World, as_: As) -> None:
    answer = as_("admin").post("/settings/restore-folders", {"folders": "relative\n"})
    assert answer.status_code == 422
    assert "no whole path" in answer.text
    assert problems_of(answer.text) == []


def test_the_command_shows_and_sets_them(world: World, tmp_path: Path) -> None:
    runner = world.app.test_cli_runner()
    assert "nowhere" in runner.invoke(args=["backup", "restore-folders"]).output
    done = runner.invoke(args=["backup", "restore-folders", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.output.splitlines() == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert runner.invoke(args=["backup", "restore-folders", "--none"]).exit_code == 0
    assert runner.invoke(args=["backup", "restore-folders", "/"]).exit_code == 1


def test_folders_of_a_host_are_set_on_its_page(world: World, as_: As) -> None:
    url, admin = f"/hosts/{world.host_id}", as_("admin")
    assert admin.post(f"{url}/restore-folders", {"folders": "/srv/there\n"}).status_code == 303
    page = admin.get(url).text
    assert "/srv/there" in page
    assert problems_of(page) == []
    admin.post(f"{url}/restore-folders", {"folders": "relative"})
    assert "no whole path" in admin.get(url).text
    operator = as_("operator").get(f"/restores/new?point_id={world.point_id}").text
    assert "/srv/there on &lt;b&gt;host&lt;/b&gt;" in operator
    assert "This machine" not in operator.partition("Where to")[2].partition("If something")[0]
    assert problems_of(operator) == []
    form = {"point_id": world.point_id, "all": "yes", "conflict": "keep", "host_id": world.host_id}
    refused = as_("operator").post(
        "/restores", {**form, "target_path": "/srv/there/x"}
    )  # it is not confirmed
    assert refused.status_code == 422
    here = as_("operator").post("/restores", {**form, "host_id": "", "target_path": "/srv/there/x"})
    assert "No folder on this machine is allowed" in here.text


def test_the_api_and_the_command_set_them_too(world: World) -> None:
    admin = Caller(world.app, make_token(world.app, "admin"))
    sent = {"hostId": world.host_id, "folders": ["/srv/a/../b"]}
    assert admin.send("PUT", "/restore-folders", sent)["folders"] == ["/srv/b"]
    operator = Caller(world.app, make_token(world.app, "operator"))
    assert operator.get(f"/restore-folders?host={world.host_id}")["folders"] == ["/srv/b"]
    assert operator.get("/restore-folders")["folders"] == []
    admin.get("/restore-folders?host=nix", 404)
    admin.send("PUT", "/restore-folders", {**sent, "hostId": "nix"}, 404)
    found = admin.send("PUT", "/restore-folders", {**sent, "folders": ["/"]}, 422)
    assert [each["field"] for each in found["errors"]] == ["folders"]
    runner = world.app.test_cli_runner()
    line = ["backup", "restore-folders", "--host", "<b>host</b>"]
    assert runner.invoke(args=[*line, "/srv/c"]).output == "/srv/c\n"
    assert "nowhere there" in runner.invoke(args=[*line, "--none"]).output
