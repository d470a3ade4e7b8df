"""Large downloads are built, then fetched whole or in parts; by pages, calls and commands alike."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Iterator

import pytest
from click.testing import Result

from core.access import audit
from core.jobs import jobs
from core.points import built_downloads, built_rules
from core.points.tokens import token_from_path
from jobs import tasks
from tests.core.making import run
from tests.webapp.api.conftest import Caller, make_token
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the jobs that are enqueued, instead of running them."""
    found: list[int] = []
    monkeypatch.setattr(tasks, "enqueue", found.extend)
    return found


@pytest.fixture
def everything_is_large(world: World) -> Iterator[None]:
    with world.app.app_context():
        before = built_rules.current().model_dump()
        built_rules.change({"build_above_bytes": 0})
    yield
    with world.app.app_context():
        built_rules.change(before)


def token(world: World, name: str = "") -> str:
    return token_from_path(os.fsencode(world.tree) + (b"/" + name.encode() if name else b""))


def build(world: World, job_id: int) -> None:
    with world.app.app_context():
        assert run(jobs.get(job_id)).status == "completed"


def test_what_is_small_is_sent_at_once(world: World, as_: As) -> None:
    url = f"/downloads/new?point_id={world.point_id}&path={token(world, 'letters')}&form=tar"
    with as_("admin").client.get(url, follow_redirects=True) as sent:
        data = sent.data
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert "letters/old/first.txt" in names


def test_what_is_large_is_built_and_fetched_in_parts(
    world: World, as_: As, queued: list[int], everything_is_large: None
) -> None:
    browser = as_("admin")
    chosen = [token(world, "letters"), token(world, "link")]
    offer = browser.post(f"/points/{world.point_id}/selection", {"path": chosen, "form": "zip"})
    assert "better built first" in offer.text
    assert problems_of(offer.text) == []
    made = browser.post("/downloads", {"point_id": str(world.point_id), "path": chosen, "form": "zip"})
    again = browser.post("/downloads", {"point_id": str(world.point_id), "path": chosen[::-1], "form": "zip"})
    assert made.headers["Location"] == again.headers["Location"]  # never two of the same
    url = made.headers["Location"]
    assert f"/jobs/{queued[0]}/progress" in browser.get(url).text
    assert browser.get(f"{url}/file").status_code == 409
    build(world, queued[0])
    page = browser.get(url).text
    assert problems_of(page) == []
    with browser.get(f"{url}/file") as sent:
        whole, headers = sent.data, sent.headers
    digest = hashlib.sha256(whole)
    assert digest.hexdigest() in page
    assert headers["Repr-Digest"] == f"sha-256=:{b64encode(digest.digest()).decode()}:"
    assert "first.txt" in str(zipfile.ZipFile(io.BytesIO(whole)).namelist())
    half = len(whole) // 2
    parts = {"Range": f"bytes={half}-", "If-Range": headers["ETag"]}
    with browser.get(f"{url}/file", headers=parts) as rest:
        assert (rest.status_code, rest.data) == (206, whole[half:])
    with world.app.app_context():
        noted = audit.list_page().items[0]
    assert (noted.action, noted.actor, noted.result) == ("downloads.file", "anna", "done")
    for role in ("viewer", "operator"):
        for path in ("", "/file", "/card"):
            assert as_(role).get(url + path).status_code == 403
    assert browser.post(f"{url}/remove").status_code == 303
    assert browser.get(f"{url}/file").status_code == 404
    assert "anna removed it" in browser.get(url).text


def test_it_can_be_sent_at_once_all_the_same(world: World, as_: As, everything_is_large: None) -> None:
    given = {"path": [token(world, "letters/old")], "form": "zip", "now": "yes"}
    with as_("admin").post(f"/points/{world.point_id}/selection", given) as sent:
        assert zipfile.ZipFile(io.BytesIO(sent.data)).read("old/first.txt") == b"the first letter\n"


def test_rules_are_changed_and_nonsense_is_refused(world: World, as_: As) -> None:
    browser = as_("admin")
    wrong = browser.post("/downloads/rules", {"build_above": "much", "keep_hours": "2", "most": "5"})
    assert (wrong.status_code, problems_of(wrong.text)) == (422, [])
    assert "Write a number of GiB" in wrong.text
    right = {"build_above": "1.5", "keep_hours": "24", "most": "50"}
    assert browser.post("/downloads/rules", right).status_code == 303
    with world.app.app_context():
        found = built_rules.current()
    assert (found.build_above_bytes, found.keep_hours) == (3 << 29, 24)


def test_calls_build_and_fetch_it(world: World, queued: list[int]) -> None:
    admin = Caller(world.app, make_token(world.app, "admin"))
    wanted = {"pointId": world.point_id, "paths": [f"{world.tree}/letters/old"], "form": "tar"}
    made = admin.send("POST", "/downloads", wanted, 202)
    assert (made["state"], made["job"]["kind"]) == ("waiting", "download")
    assert admin.send("POST", "/downloads", wanted, 202)["id"] == made["id"]
    admin.get(f"/downloads/{made['id']}/file", 409)
    build(world, made["job"]["id"])
    found = admin.get(f"/downloads/{made['id']}")
    with admin.call("GET", f"/downloads/{made['id']}/file", Range="bytes=0-") as sent:
        data = sent.data
    assert (found["sizeBytes"], found["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert admin.get("/downloads")["items"][0]["id"] == made["id"]
    admin.send("POST", "/downloads", {**wanted, "paths": ["relative"]}, 422)
    admin.send("POST", "/downloads", {**wanted, "paths": ["/not/there"]}, 404)
    admin.send("DELETE", f"/downloads/{made['id']}", status=204)
    assert admin.get(f"/downloads/{made['id']}")["state"] == "removed"
    assert admin.send("PATCH", "/downloads/rules", {"keepHours": 5})["keepHours"] == 5


def said(world: World, *words: str) -> Result:
    return world.app.test_cli_runner().invoke(args=["backup", "download", *words])


def test_commands_build_and_fetch_it(world: World, queued: list[int]) -> None:
    made = said(world, "build", str(world.point_id), f"{world.tree}/letters/old", "--form", "zip")
    built_id = made.stdout.strip()
    build(world, queued[0])
    to = world.folder / "old.zip"
    assert said(world, "fetch", built_id, "--to", str(to)).exit_code == 0
    assert zipfile.ZipFile(to).testzip() is None
    shown = json.loads(said(world, "show", built_id).stdout)
    assert (shown["state"], shown["sizeBytes"]) == ("ready", to.stat().st_size)
    assert "old.zip" in said(world, "list").stdout
    with world.app.app_context():
        _, path = built_downloads.file_of(int(built_id))
    with open(path, "r+b") as file:
        file.write(b"x")
    rotten = said(world, "fetch", built_id, "--to", str(to))
    assert (rotten.exit_code, "its hash is another" in rotten.output) == (1, True)
    assert said(world, "remove", built_id).exit_code == 0
    assert said(world, "fetch", built_id, "--to", str(to)).exit_code == 1
    assert json.loads(said(world, "rules", "--keep-hours", "7").stdout)["keepHours"] == 7
