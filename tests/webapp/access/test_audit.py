"""Who did what is noted, once, by every door; secrets and what was only looked at are not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from core.access import api_tokens, audit, users
from core.access.api_tokens import TokenInput
from core.models import AuditEntry
from core.points import tokens
from core.retention import pins
from tests.webapp.access.test_access import ROUTES, address
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import PASSWORD, Browser, World
from webapp.access import auditing
from webapp.commands import notes as command_notes

# Downloads of what Holdfast itself says.
NOT_BACKED_UP = {"reports.document", "reports.jobs_csv"}
New = Callable[[], list[AuditEntry]]


@pytest.fixture
def new(world: World) -> New:
    """Return a function that gives the entries that were added since."""

    def entries() -> list[AuditEntry]:
        with world.app.app_context():
            return [entry for entry in audit.every() if entry.number > before]

    before = 0
    before = max((entry.number for entry in entries()), default=0)
    return entries


def said(entry: AuditEntry) -> str:
    return " ".join(str(value) for value in audit.document(entry).values())


def test_a_change_is_noted_once_with_all_that_is_asked_for(world: World, as_: As, new: New) -> None:
    as_("admin").post(f"/configs/{world.config_id}/pause")
    as_("admin").post(f"/configs/{world.config_id}/resume")
    pause, resume = new()
    assert (pause.actor, pause.door, pause.action, pause.result) == ("anna", "page", "configs.pause", "done")
    assert pause.target == "config Letters & <more>"
    assert pause.address == "127.0.0.1"
    assert resume.action == "configs.resume"


def test_looking_is_not_noted(world: World, as_: As, new: New) -> None:
    browser = as_("admin")
    for url in (
        "/",
        "/configs",
        f"/configs/{world.config_id}",
        "/jobs",
        f"/points/{world.point_id}",
        "/audit",
    ):
        browser.get(url)
    browser.post("/theme", {"theme": "dark"})
    browser.post("/configs/summary", {})
    assert new() == []


def test_reading_backed_up_data_is_noted(world: World, as_: As, new: New) -> None:
    as_("admin").get(address(world, "points.file")).get_data()
    as_("admin").get(f"/points/{world.point_id}/archive").get_data()
    one, whole = new()
    assert (one.action, one.actor, one.result) == ("points.file", "anna", "done")
    assert one.target == f"point {world.point_id} of Letters & <more>, path {world.tree}/letters/big.bin"
    assert whole.action == "points.archive"


def test_every_download_is_noted(world: World, as_: As) -> None:
    browser, downloads = as_("admin"), set()
    for endpoint in ROUTES:
        answer = browser.get(address(world, endpoint))
        answer.get_data()
        if "attachment" in answer.headers.get("Content-Disposition", ""):
            downloads.add(endpoint)
        answer.close()
    assert {"points.file", "points.archive"} <= downloads
    assert downloads - NOT_BACKED_UP <= auditing.READS


def test_what_is_refused_is_noted(world: World, as_: As, new: New) -> None:
    as_("operator").post(f"/configs/{world.config_id}/pause")
    as_("operator").get(address(world, "points.file"))
    found = new()
    assert [(entry.actor, entry.result) for entry in found] == [("otto", "refused")] * 2
    assert found[0].target == "config Letters & <more>"


def test_what_was_not_even_tried_is_not(world: World, as_: As, new: New) -> None:
    Browser(world.app).post(f"/configs/{world.config_id}/pause")
    as_("admin").post("/configs", {"name": ""})
    as_("admin").post("/configs/nix/pause")
    assert new() == []


def test_logins_are_noted_and_no_word_that_may_be_a_password(world: World, new: New) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": "wrong wrong wrong"})
    browser.post("/login", {"name": "my secret password", "password": "x"})
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    browser.post("/logout")
    found = new()
    assert [(entry.actor, entry.action, entry.result) for entry in found] == [
        ("vera", "sessions.enter", "refused"), ("somebody unknown", "sessions.enter", "refused"),
        ("vera", "sessions.enter", "done"), ("vera", "sessions.logout", "done"),
    ]  # fmt: skip
    for entry in found:
        assert "secret" not in said(entry)
        assert PASSWORD not in said(entry)
        assert "wrong" not in said(entry)


def test_no_secret_of_a_form_is_noted(world: World, as_: As, new: New) -> None:
    form = {"name": "nina", "password": "a password of hers", "role": "viewer"}
    assert as_("admin").post("/settings/users", form).status_code == 303
    as_("admin").post(f"/settings/users/{world.user_ids['spare']}/password", {"password": "another good one"})
    made, changed = new()
    assert made.target == "name nina, role viewer"
    assert changed.target == "user <b>spare</b>"
    assert "password of hers" not in said(made)
    assert "another good one" not in said(changed)


def test_calls_of_the_api_are_noted_with_their_token(world: World, new: New) -> None:
    with world.app.app_context():
        anna = users.find("anna")
        _, text = api_tokens.create(TokenInput(name="deploy", role="admin"), anna)
    client, head = world.app.test_client(), {"Authorization": f"Bearer {text}"}
    client.patch(f"/api/backup/configs/{world.config_id}", json={"enabled": True}, headers=head)
    client.get(f"/api/backup/points/{world.point_id}/archive", headers=head).get_data()
    client.get("/api/backup/jobs", headers=head)
    change, read = new()
    assert (change.actor, change.door, change.action) == ("anna, token deploy", "api", "api.patch_config")
    assert change.target == "config Letters & <more>, enabled True"
    assert read.action == "api.download_folder"
    assert text not in said(change) + said(read)


def test_many_of_which_one_was_refused_are_no_success(world: World, new: New) -> None:
    with world.app.app_context():
        _, text = api_tokens.create(TokenInput(name="sweeper", role="admin"), None)
    head = {"Authorization": f"Bearer {text}"}
    sent = {"action": "cancel", "ids": [987_654]}
    answer = world.app.test_client().post("/api/backup/jobs", json=sent, headers=head)
    assert (answer.status_code, answer.json["results"][0]["done"]) == (200, False)  # type: ignore[index]
    (entry,) = new()
    assert (entry.action, entry.result) == ("api.change_jobs", "refused")


def test_many_of_which_some_were_refused_are_done_and_say_which(world: World, as_: As, new: New) -> None:
    asked = [str(world.job_id), "987654"]
    as_("admin").post("/jobs/many", {"do": "pin", "job": asked})
    with world.app.app_context():
        pins.unpin(world.point_id)
    (entry,) = new()
    assert (entry.action, entry.result) == ("job_many.change", "done")
    assert entry.target == f"do pin, job {', '.join(asked)}, 1 of 2 refused: 987654"


def test_long_lists_are_told_whole_and_chosen_paths_as_people_read_them(
    world: World, as_: As, new: New
) -> None:
    numbers = [str(number) for number in range(900_000, 900_200)]
    as_("operator").post("/trash/take-out", {"copy": numbers})
    path = tokens.token_from_path(os.fsencode(world.tree))
    as_("admin").post(f"/points/{world.point_id}/selection", {"path": [path]}).get_data()
    many, read = new()
    assert many.target == f"copy {', '.join(numbers)}"
    assert read.target.endswith(f", path {world.tree}")


def test_commands_are_noted(world: World, new: New) -> None:
    runner = world.app.test_cli_runner()
    runner.invoke(args=["user", "token", "add", "nightly", "--role", "operator"])
    runner.invoke(args=["user", "disable", "nobody"])
    runner.invoke(args=["backup", "status"])
    runner.invoke(args=["user", "list"])
    made, refused = new()
    assert (made.door, made.action, made.result) == ("command", "user token add", "done")
    assert made.target == "name nightly, role operator"
    assert made.actor.endswith(" on the server")
    assert (refused.action, refused.target, refused.result) == ("user disable", "name nobody", "refused")


def test_no_command_is_forgotten(world: World) -> None:
    def walk(group: click.Group) -> Iterator[click.Command]:
        for each in group.commands.values():
            yield from walk(each) if isinstance(each, click.Group) else [each]

    for noun in ("backup", "user"):
        group = world.app.cli.commands[noun]
        assert isinstance(group, click.Group)
        assert [each.name for each in walk(group) if not getattr(each.callback, "noted", False)] == []


def test_what_a_command_shows_is_known_by_its_last_word() -> None:
    assert "restore" not in command_notes.SHOWS
    assert "passwd" not in command_notes.SHOWS


def test_the_page_shows_filters_and_verifies(world: World, as_: As) -> None:
    browser = as_("admin")
    browser.post(f"/configs/{world.config_id}/pause")
    browser.post(f"/configs/{world.config_id}/resume")
    page = browser.get("/audit").text
    assert problems_of(page) == []
    assert "Stop the schedule until it is resumed" in page
    assert "Letters &amp; &lt;more&gt;" in page
    filtered = browser.get("/audit?actor=nobody&result=done&from=2020-01-01&to=nonsense").text
    assert "Nothing fits these filters" in filtered
    assert problems_of(filtered) == []
    assert "The log is whole" in browser.get("/audit?verify=1").text


def test_an_export_is_whole_and_runs_in_no_spreadsheet(world: World, as_: As) -> None:
    browser = as_("admin")
    browser.post("/settings/users", {"name": "=1+1", "password": PASSWORD, "role": "viewer"})
    with world.app.app_context():
        audit.record(audit.Deed(actor="=cmd()", door="page", action="x", result="done"))
        expected = [audit.document(entry) for entry in audit.every()]
    lines = [json.loads(line) for line in browser.get("/audit/export").text.splitlines()]
    assert lines[: len(expected)] == expected
    table = browser.get("/audit/export?form=csv").text
    assert ",'=cmd()," in table
    assert table.startswith("number,at,actor,")


def test_the_command_proves_the_chain(world: World) -> None:
    runner = world.app.test_cli_runner()
    done = runner.invoke(args=["backup", "audit", "verify"])
    assert (done.exit_code, "is whole" in done.output) == (0, True)
    runner.invoke(args=["user", "disable", "nobody"])
    (listed,) = runner.invoke(args=["backup", "audit", "list", "--last", "1"]).output.splitlines()
    assert listed.endswith("user disable name nobody: refused")
    exported: Any = runner.invoke(args=["backup", "audit", "export"]).output.splitlines()
    assert json.loads(exported[0])["number"] == 1


def test_a_change_that_cannot_be_noted_is_no_quiet_success(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = as_("admin")
    token = browser.token()

    def full(*given: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(audit, "add", full)
    answer = browser.client.get(address(world, "points.file"), headers={"X-CSRFToken": token})
    assert answer.status_code == 500
