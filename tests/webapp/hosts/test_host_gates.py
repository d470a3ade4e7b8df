"""Keys for one thing each on a host, on its page."""

from __future__ import annotations

import json
import re

import pytest

from core.hosts import gate_keys, hosts
from tests.servers.sshd import Sshd
from tests.webapp.conftest import As
from tests.webapp.hosts.test_hosts import confirmed
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World


@pytest.fixture
def admin(as_: As) -> Browser:
    """Return the browser of an admin."""
    return as_("admin")


@pytest.fixture
def url(admin: Browser, sshd: Sshd, request: pytest.FixtureRequest) -> str:
    return confirmed(admin, sshd, str(request.node.name).replace("_", "-"))


def test_a_key_is_made_shown_tested_and_forgotten(world: World, admin: Browser, url: str) -> None:
    assert problems_of(admin.get(url).text) == []
    answer = admin.post(f"{url}/gate-keys", {"mode": "restore", "place": "/srv/restored"})
    assert (answer.status_code, answer.headers["Location"].endswith(f"{url}#gates")) == (303, True)
    admin.post(f"{url}/gate-keys", {"mode": "dump", "place": "app", "port": "5433"})
    page = admin.get(url).text
    assert problems_of(page) == []
    for text in (
        "restores into /srv/restored",
        "dumps of app, port 5433",
        "not tested yet",
        "Reading any file",
    ):
        assert text in page, text
    assert "ROOT=/srv/restored" in page
    assert "DATABASE=app" in page
    assert "PRIVATE" not in page
    admin.post(f"{url}/gate-keys/test")
    page = admin.get(url).text
    assert (page.count("cannot be used</span>"), problems_of(page)) == (2, [])
    for action in re.findall(r'action="([^"]*/gate-keys/\w+/delete)"', page):
        assert admin.post(action).status_code == 303
    page = admin.get(url).text
    assert ("rm -f /usr/local/sbin/holdfast-" in page, "/gate-keys/test" in page) == (True, False)


def test_what_cannot_be_is_said(admin: Browser, url: str) -> None:
    for sent, said in (
        ({"mode": "restore", "place": "/etc"}, "may become root"),
        ({"mode": "dump", "place": "a b"}, "Name one database"),
        ({"mode": "dump", "place": "app", "port": "x"}, "Name one database"),
        ({}, "Name a folder"),
    ):
        admin.post(f"{url}/gate-keys", sent)
        assert said in admin.get(url).text, sent
    assert admin.post(f"{url}/gate-keys/nothing/delete").status_code == 404


def test_only_admins_make_them(world: World, as_: As, admin: Browser, url: str) -> None:
    for role in ("operator", "viewer"):
        assert as_(role).post(f"{url}/gate-keys", {"mode": "restore", "place": "/srv/x"}).status_code == 403
    with world.app.app_context():
        assert gate_keys.of_host(url.rpartition("/")[2]) == []


def test_the_commands_do_the_same(world: World, admin: Browser, url: str) -> None:
    with world.app.app_context():
        name = hosts.get(url.rpartition("/")[2]).name
    run = world.app.test_cli_runner()
    gate = ["backup", "host", "gate"]
    made = run.invoke(args=[*gate, "add", name, "--restore", "/srv/restored"])
    assert (made.exit_code, "ROOT=/srv/restored" in made.output) == (0, True), made.output
    assert run.invoke(args=[*gate, "add", name]).exit_code == 2
    listed = run.invoke(args=[*gate, "list", name, "--json"])
    (key,) = json.loads(listed.output)["keys"]
    assert (listed.exit_code, key["place"], key["tested"]) == (0, "/srv/restored", False)
    tested = run.invoke(args=[*gate, "list", name, "--test"])
    assert (tested.exit_code, "restores into /srv/restored" in tested.output) == (1, True)
    removed = run.invoke(args=[*gate, "remove", name, key["id"]])
    assert "rm -f /usr/local/sbin/holdfast-restore-" in removed.output
    assert "There are none" in run.invoke(args=[*gate, "list", name]).output
