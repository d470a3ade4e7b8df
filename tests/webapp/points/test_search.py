"""Searching all points for a file, its versions, two points compared, and a selection downloaded."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import zipfile
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, event

from core.points import catalog_file, catalog_fill, file_search
from core.points.tokens import token_from_path
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import NASTY, World


def token(world: World, name: str = "") -> str:
    return token_from_path(os.fsencode(world.tree) + (b"/" + name.encode() if name else b""))


def test_a_file_is_found_and_leads_to_its_versions(world: World, as_: As) -> None:
    page = as_("viewer").get("/search?q=FIRST").text
    assert "1 result for" in page
    assert str(world.tree / "letters" / "old" / "first.txt") in page
    assert "2 points" in page
    link = re.search(r'href="(/search/versions[^"]+)"', page)
    assert link is not None
    versions = as_("viewer").get(link[1].replace("&amp;", "&")).text
    assert "1 version of this file" in versions
    assert "in 2 of 2 points" in versions
    assert problems_of(versions) == []


def test_who_may_not_read_files_gets_no_links_to_them(world: World, as_: As) -> None:
    page = as_("viewer").get("/search?q=first.txt").text
    assert "/file?path=" not in page
    assert "/restores/new" not in page
    assert "/file?path=" in as_("admin").get("/search?q=first.txt").text


def test_names_that_are_found_are_only_text(world: World, as_: As) -> None:
    page = as_("admin").get(f"/search?q={quote(NASTY)}").text
    assert problems_of(page) == []
    assert "<script>alert" not in page
    assert "1 result for" in page


@pytest.mark.parametrize(("text", "status"), [("", 200), ("*", 422), ("no such name", 200)])
def test_a_search_for_nothing(text: str, status: int, world: World, as_: As) -> None:
    response = as_("viewer").get(f"/search?q={quote(text)}")
    assert response.status_code == status
    assert problems_of(response.text) == []


def test_what_is_not_catalogued_is_said(world: World, as_: As) -> None:
    with world.app.app_context():
        catalog_file.delete()
    try:
        page = as_("admin").get("/search?q=first.txt").text
        assert "Searched 0 of " in page
        assert "Nothing is called" not in page
        assert "No point holds" not in page
        assert "flask backup catalog fill" in page
        versions = as_("admin").get(f"/search/versions?config={world.config_id}&path={token(world, 'x')}")
        assert "Searched 0 of 2 points" in versions.text
    finally:
        with world.app.app_context():
            catalog_fill.fill_all()
    assert "Search knows all " in as_("admin").get("/search?q=first.txt").text


def test_a_catalog_that_is_broken_is_said_and_breaks_nothing_else(world: World, as_: As) -> None:
    with world.app.app_context():
        catalog_file.delete()
    (world.folder / "data" / catalog_file.NAME).write_bytes(b"not a database" * 1000)
    try:
        response = as_("admin").get("/search?q=first.txt")
        assert response.status_code == 503
        assert "flask backup catalog rebuild" in response.text
        assert as_("admin").get(f"/points/{world.point_id}").status_code == 200
    finally:
        done = world.app.test_cli_runner().invoke(args=["backup", "catalog", "rebuild"])
    assert done.exit_code == 0, done.output
    assert as_("admin").get("/search?q=first.txt").status_code == 200


def test_a_search_that_did_not_get_to_the_end_says_not_that_nothing_is_there(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_search, "_MOST_NAMES", 0)
    page = as_("viewer").get("/search?q=first").text
    assert "This does not say that no point holds it" in page
    assert "Write more of the name, or its folder" in page
    assert "Nothing is called" not in page
    assert "No point holds" not in page
    assert problems_of(page) == []
    with world.app.app_context():
        done = world.app.test_cli_runner().invoke(args=["backup", "find", "first"])
    assert (done.exit_code, file_search.NOTHING_SAID in done.output) == (3, True)


def test_two_points_are_compared(world: World, as_: As) -> None:
    browser = as_("admin")
    pair = f"{world.point_id}/{world.newer_point_id}"
    page = browser.get(f"/points/{world.newer_point_id}").text
    assert f'<option value="{world.point_id}" selected>' in page
    for one, other in ((world.point_id, world.newer_point_id), (world.newer_point_id, world.point_id)):
        response = browser.get(f"/diffs?point={one}&other={other}")
        assert response.headers["Location"].startswith(f"/diffs/{pair}")
    page = browser.get(f"/diffs/{pair}?path={token(world, 'letters')}").text
    assert "new.txt" in page
    assert "1 added" in page
    assert problems_of(page) == []
    shown = browser.get(f"/diffs/{pair}/file?path={token(world, 'letters/new.txt')}").text
    assert "+ new" in shown
    assert (
        problems_of(browser.fragment(f"/diffs/{pair}/file?path={token(world, 'letters/new.txt')}").text) == []
    )
    assert "Nothing differs" in browser.get(f"/diffs/{world.point_id}/{world.point_id}").text


def test_a_selection_downloads_as_one_archive(world: World, as_: As) -> None:
    browser = as_("admin")
    chosen = [token(world, "letters/old"), token(world, "letters/old/first.txt"), token(world, NASTY)]
    url = f"/points/{world.point_id}/selection"
    with browser.post(url, {"path": chosen, "form": "tar"}) as response:
        assert response.headers["Content-Disposition"].startswith(
            f'attachment; filename="point-{world.point_id}.tar"'
        )
        with tarfile.open(fileobj=io.BytesIO(response.get_data())) as archive:
            assert sorted(archive.getnames()) == sorted([NASTY, "letters/old", "letters/old/first.txt"])
    with browser.post(url, {"path": chosen[1:2], "form": "zip"}) as response:
        assert 'filename="first.txt.zip"' in response.headers["Content-Disposition"]
        packed = zipfile.ZipFile(io.BytesIO(response.get_data()))
    assert packed.read("first.txt") == b"the first letter\n"
    assert browser.post(url, {"path": [token(world, "nowhere")]}).status_code == 404
    assert browser.post(url, {"path": ["!!"]}).status_code == 404
    assert browser.post(url, {}).status_code == 303


def run(world: World, *arguments: str) -> tuple[int, str]:
    with world.app.app_context():  # as `flask` does
        done = world.app.test_cli_runner().invoke(args=["backup", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_the_same_on_the_command_line(world: World) -> None:
    code, text = run(world, "find", "first", "--json")
    found = json.loads(text)["found"]
    assert (code, [each["points"] for each in found]) == (0, [2])
    assert run(world, "find", "no such name")[0] == 1
    assert str(world.tree / "letters" / "new.txt") in run(world, "find", "new.txt")[1]
    code, text = run(
        world, "versions", str(world.tree / "letters/new.txt"), "--config", world.config_id, "--json"
    )
    assert (code, json.loads(text)["absent"]) == (0, 1)
    pair = str(world.point_id), str(world.newer_point_id)
    code, text = run(world, "diff", *pair)
    assert code == 3
    assert f"+  {world.tree}/letters/new.txt" in text
    code, text = run(world, "diff", *pair, str(world.tree / "letters/new.txt"))
    assert (code, "+new" in text) == (3, True)
    assert run(world, "diff", pair[0], pair[0])[0] == 0
    code, text = run(world, "catalog", "status")
    assert (code, "2 of 2 points" in text) == (0, True)


def test_a_search_asks_the_database_few_times(world: World, as_: As) -> None:
    """However much it finds: each file of its own is not asked for."""
    browser = as_("viewer")
    counts = []
    for text in ("first.txt", "t"):
        seen: list[str] = []

        def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
            seen.append(statement)  # noqa: B023  (taken off again before the next)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert browser.get(f"/search?q={text}").status_code == 200
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert counts[0] <= 25
