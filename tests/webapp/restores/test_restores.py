"""Restores asked for in the browser."""

from __future__ import annotations

import html
import os
import re

import pytest

from core.jobs import jobs
from core.points import points
from core.points.tokens import token_from_path
from core.restores import rehearsal, restores
from repository.errors import Damaged
from tests.core.making import back_up, make_config, run
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def token(world: World, name: str) -> str:
    return token_from_path(os.fsencode(world.tree / name))


def test_what_was_ticked_is_what_the_form_restores(world: World, as_: As) -> None:
    browser, chosen = as_("admin"), [token(world, "letters/old"), token(world, "empty")]
    data = {"point_id": world.point_id, "path": chosen}
    page = browser.post("/restores/new", data).text
    assert problems_of(page) == []
    assert sorted(re.findall(r'name="path" value="([^"]+)"', page)) == sorted(chosen)
    assert 'name="all"' not in page
    target = world.folder / "chosen"
    answer = browser.post("/restores", {**data, "target_path": str(target), "conflict": "keep"})
    job_id = int(answer.headers["Location"].rpartition("/")[2])
    with world.app.app_context():
        assert jobs.get(job_id).enqueued_at is not None
        assert run(jobs.get(job_id)).status == "completed"
    below = str(world.tree).lstrip("/")
    assert (target / below / "letters" / "old" / "first.txt").read_text() == "the first letter\n"
    assert (target / below / "empty").is_dir()
    assert not (target / below / "letters" / "big.bin").exists()


def test_a_path_below_a_chosen_one_is_not_asked_for_twice(world: World, as_: As) -> None:
    data = {"point_id": world.point_id, "path": [token(world, "letters"), token(world, "letters/old")]}
    page = as_("admin").post("/restores/new", data).text
    assert re.findall(r'name="path" value="([^"]+)"', page) == [token(world, "letters")]


def test_nothing_ticked_is_never_everything(world: World, as_: As) -> None:
    browser = as_("admin")
    answer = browser.post("/restores/new", {"point_id": world.point_id})
    assert answer.headers["Location"] == f"/points/{world.point_id}"
    assert "Tick at least one" in browser.get(answer.headers["Location"]).text
    before = len(_restores(world))
    data = {"point_id": world.point_id, "target_path": str(world.folder / "all"), "conflict": "keep"}
    assert browser.post("/restores", data).status_code == 422
    assert len(_restores(world)) == before
    assert browser.post("/restores", {**data, "all": "yes"}).status_code == 303


def _restores(world: World) -> list[int]:
    with world.app.app_context():
        return [one.id for one in restores.list_restores().items]


def test_a_path_that_is_none_stops_the_restore(world: World, as_: As) -> None:
    data = {"point_id": world.point_id, "path": ["%%%", token(world, "letters")]}
    assert as_("admin").post("/restores/new", data).status_code == 404


@pytest.mark.parametrize(
    ("target", "words"),
    [("relative", "from / on"), ("/", "whole machine"), ("{folder}/data/x", "own data folder"),
     ("{folder}/backups", "keeps backups"), ("", "from / on"),
     ("/proc/x", "Nothing can be written to /proc/x"),
     ("{folder}/tree/letters/big.bin/x", "letters/big.bin is not a folder")],
)  # fmt: skip
def test_a_bad_place_comes_back_with_all_that_was_chosen(
    world: World, as_: As, target: str, words: str
) -> None:
    data = {
        "point_id": world.point_id,
        "path": token(world, "letters"),
        "target_path": target.format(folder=world.folder),
        "conflict": "rename",
    }
    response = as_("admin").post("/restores", data)
    assert response.status_code == 422
    assert words in response.text
    assert token(world, "letters") in response.text
    assert re.search(r'value="rename" checked', response.text)
    assert problems_of(response.text) == []


def test_a_dry_run_tells_and_keeps_all_that_was_chosen(world: World, as_: As) -> None:
    target = world.folder / "dry"
    data = {"point_id": world.point_id, "path": token(world, "letters"), "conflict": "rename"}
    page = as_("admin").post("/restores/check", {**data, "target_path": str(target)}).text
    assert problems_of(page) == []
    assert "It can go there" in page
    assert token(world, "letters") in page
    assert re.search(r'value="rename" checked', page)
    assert f'value="{target}"' in page
    assert not target.exists()
    assert f'<span class="path">{target}</span>' in page[page.index('id="restore-found"') :]
    assert "and restore beside it" in page[page.index('id="restore-found"') :]
    refused = as_("admin").post("/restores/check", {**data, "target_path": "dry"}, htmx=True)
    assert "Give the whole path" in refused.text
    assert "<!doctype" not in refused.text
    again = {"point_id": world.point_id, "all": "yes", "conflict": "keep"}
    again["target_path"] = str(world.folder / "restored")  # has it all since the world was made
    assert "All of it is there already" in as_("admin").post("/restores/check", again, htmx=True).text


def test_what_fails_while_it_is_looked_at_stands_in_place_of_what_was_found_before(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    data: dict[str, object] = {"all": "yes", "conflict": "keep", "target_path": str(world.folder / "dry")}
    gone = as_("admin").post("/restores/check", {**data, "point_id": 99999}, htmx=True)
    assert (gone.status_code, problems_of(gone.text)) == (422, [])
    assert "There is no point 99999" in gone.text[gone.text.index('id="restore-check"') :]

    def fail(*_: object, **__: object) -> None:
        raise Damaged("index 12ab cannot be read")

    monkeypatch.setattr(rehearsal, "rehearse", fail)
    for htmx in (True, False):
        page = as_("admin").post("/restores/check", {**data, "point_id": world.point_id}, htmx=htmx)
        assert (page.status_code, problems_of(page.text)) == (422, [])
        assert "12ab" in page.text[page.text.index('id="restore-check"') :]


@pytest.mark.parametrize(("free", "words"), [(1, "It may not fit"), (10**6, "It can go there")])
def test_where_nothing_was_compared_each_number_is_a_most(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch, free: int, words: str
) -> None:
    found = rehearsal.Rehearsal("/srv/there", new=7, bytes=2000, compared=False, free_bytes=free)
    monkeypatch.setattr(rehearsal, "rehearse", lambda given, limited: found)
    data = {"point_id": world.point_id, "all": "yes", "conflict": "keep", "target_path": "/srv/there"}
    page = as_("admin").post("/restores/check", data, htmx=True).text
    assert problems_of(page) == []
    assert words in page
    assert "tone-bad" not in page
    said = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    assert dict(said)["Written anew or replaced"] == "at most 7 files"
    assert dict(said)["To be written"] == "at most 2.0 KiB"


def test_no_command_is_shown_that_would_do_something_else(world: World, as_: As) -> None:
    data: dict[str, object] = {"point_id": world.point_id, "target_path": "/srv/x", "conflict": "keep"}
    plain = {**data, "path": token(world, "empty")}
    for wanted, shown in (
        (plain, True),
        ({**plain, "copy_id": "1"}, False),
        ({**data, "path": token_from_path(b"/caf\xe9")}, False),
    ):
        words = as_("admin").post("/restores/summary", wanted, htmx=True).text
        assert ("backup restore" in words) == shown, wanted


def test_the_words_beside_the_form_and_the_command_say_what_is_typed(world: World, as_: As) -> None:
    data = {"point_id": world.point_id, "path": token(world, "empty"), "conflict": "replace"}
    words = as_("admin").post("/restores/summary", {**data, "target_path": "/srv/back again"}, htmx=True).text
    assert problems_of(words) == []
    assert f"/srv/back again{world.tree}/empty" in words
    command = html.unescape(words)
    wanted = f"--to '/srv/back again' --include {world.tree}/empty --conflict replace"
    assert f"backup restore {world.point_id} {wanted}" in command


def test_a_point_that_is_none_is_not_found(world: World, as_: As) -> None:
    browser = as_("admin")
    for point_id in ("", "x", "99999", "9" * 40, "²"):
        assert browser.get(f"/restores/new?point_id={point_id}").status_code == 404


def test_restores_are_listed_with_their_result(world: World, as_: As) -> None:
    ticked = {"point_id": world.point_id, "path": token(world, "empty"), "conflict": "keep"}
    as_("admin").post("/restores", {**ticked, "target_path": str(world.folder / "listed")})
    page = as_("viewer").get("/restores").text
    assert f"/jobs/{world.restore_job_id}" in page
    assert "Completed" in page
    (row,) = re.findall(rf'href="/jobs/{world.restore_job_id}".*?</tr>', page, re.DOTALL)
    assert f"Everything; {restores.CONFLICTS['keep']}" in row
    assert f"{world.tree}/empty" in page  # of the restore of what was ticked


def test_files_of_this_machine_are_put_back_where_they_were(world: World, as_: As) -> None:
    folder = world.folder / "own"
    folder.mkdir()
    file = folder / "my file.txt"
    file.write_text("as it was\n")
    with world.app.app_context():
        config_id = make_config(folder, "Own").id
        back_up(config_id)
        found = points.latest(config_id)
        assert found is not None
        point_id = found.id
        chosen = {"point_id": point_id, "path": token_from_path(os.fsencode(file))}
    file.write_text("broken\n")
    admin = as_("admin")
    page = admin.post("/restores/new", chosen).text
    assert problems_of(page) == []
    assert "Back where they were on this machine" in page
    assert re.search(r'name="put_back" value="" checked', page)
    assert 'name="put_back"' not in admin.get(f"/restores/new?point_id={point_id}").text, "not for everything"
    data = {**chosen, "put_back": "yes", "host_id": world.host_id, "target_path": "", "conflict": "replace"}
    words = html.unescape(admin.post("/restores/summary", data, htmx=True).text)
    assert f"restore {point_id} --in-place --include '{file}' --conflict replace" in words
    assert "where it was on <b>this machine</b>" in words
    told = admin.post("/restores/check", data).text
    assert problems_of(told) == []
    assert "once the safety backup holds what stands there now" in told
    assert file.read_text() == "broken\n"
    assert 'name="put_back"' not in as_("operator").post("/restores/new", chosen).text
    refused = as_("operator").post("/restores", data)
    assert (refused.status_code, "Only admins put files back" in refused.text) == (422, True)
    assert problems_of(refused.text) == []
    job_id = int(admin.post("/restores", data).headers["Location"].rpartition("/")[2])
    with world.app.app_context():
        run(jobs.get(restores.safety_job_of(jobs.get(job_id)) or 0))
        assert run(jobs.get(job_id)).status == "completed"
    assert file.read_text() == "as it was\n"
