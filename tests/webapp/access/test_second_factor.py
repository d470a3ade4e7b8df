"""The second factor and the list of logins, as a person meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyotp
import pytest

from core.access import audit, second_factor, users
from core.db import write
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import PASSWORD, Browser, World, browse_as
from webapp.access import access
from webapp.access import second_factor as pages

SECRET = re.compile(r"<code>([A-Z2-7]{32})</code>")
CODE = re.compile(r"\b[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}\b")


@pytest.fixture
def on(world: World) -> Iterator[list[str]]:
    """Turn it on for vera as she would; return her secret and recovery codes."""
    browser = browse_as(world.app, "viewer", world.user_ids["viewer"])
    browser.post("/second-factor")
    page = browser.get("/second-factor").text
    assert problems_of(page) == []
    found = SECRET.search(page)
    assert found
    assert "data:image/svg+xml" in page
    wrong = browser.post("/second-factor/confirm", {"code": "12"})
    assert (wrong.status_code, problems_of(wrong.text)) == (422, [])
    browser.post("/second-factor/confirm", {"code": pyotp.TOTP(found[1]).now()})
    page = browser.get("/second-factor").text
    assert problems_of(page) == []
    codes = CODE.findall(page)
    assert len(codes) == second_factor.RECOVERY_CODES
    assert not CODE.findall(browser.get("/second-factor").text), "shown once"
    yield [found[1], *codes]
    with world.app.app_context():
        second_factor.turn_off(world.user_ids["viewer"])
        with write() as session:
            users.forget_attempts(session, "code:vera")


def is_in(browser: Browser) -> bool:
    return browser.get("/").status_code == 200


def test_the_password_alone_opens_nothing(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    answer = browser.post("/login", {"name": "vera", "password": PASSWORD, "next": "/jobs?page=2"})
    assert answer.headers["Location"] == "/login/code?next=/jobs?page%3D2"
    assert browser.client.get_cookie(access.COOKIE) is None
    assert not is_in(browser)
    page = browser.get("/login/code?next=/jobs?page%3D2").text
    assert problems_of(page) == []
    assert "vera" not in page
    wrong = browser.post("/login/code", {"code": "nonsense", "next": "/jobs?page=2"})
    assert (wrong.status_code, problems_of(wrong.text)) == (422, [])
    assert not is_in(browser)
    right = browser.post("/login/code", {"code": on[1], "next": "/jobs?page=2"})
    assert right.headers["Location"] == "/jobs?page=2"
    assert is_in(browser)


def test_a_code_leads_nowhere_else(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    answer = browser.post("/login/code", {"code": on[2], "next": "//evil.example"})
    assert answer.headers["Location"] == "/"


def test_without_the_password_no_code_counts(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    assert browser.get("/login/code").headers["Location"] == "/login"
    assert browser.post("/login/code", {"code": on[3]}).headers["Location"] == "/login"
    assert not is_in(browser)


def test_the_code_is_not_waited_for_for_ever(
    world: World, on: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    monkeypatch.setattr(pages, "PENDING_S", -1)
    assert browser.post("/login/code", {"code": on[4]}).headers["Location"] == "/login"
    assert not is_in(browser)


def test_a_new_password_meanwhile_ends_the_waiting(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    with world.app.app_context():
        users.set_password(world.user_ids["viewer"], PASSWORD)
    assert browser.post("/login/code", {"code": on[5]}).headers["Location"] == "/login"
    assert not is_in(browser)


def test_it_is_turned_off_with_the_password(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    browser.post("/login/code", {"code": on[6]})
    wrong = browser.post("/second-factor/off", {"password": "wrong wrong wrong"})
    assert (wrong.status_code, problems_of(wrong.text)) == (422, [])
    assert browser.post("/second-factor/off", {"password": PASSWORD}).status_code == 303
    assert "password alone" in browser.get("/second-factor").text


def test_an_admin_or_the_server_can_help(world: World, as_: As, on: list[str]) -> None:
    number = world.user_ids["viewer"]
    assert "Each login needs a code" in as_("admin").get(f"/settings/users/{number}").text
    as_("admin").post(f"/settings/users/{number}/reset-totp")
    with world.app.app_context():
        assert not second_factor.is_on(users.get(number))
    done = world.app.test_cli_runner().invoke(args=["user", "reset-totp", "vera"])
    assert done.exit_code == 0


def test_no_code_and_no_secret_is_noted(world: World, on: list[str]) -> None:
    browser = Browser(world.app)
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    browser.post("/login/code", {"code": "guessed"})
    with world.app.app_context():
        entries = list(audit.every())
    assert (entries[-1].actor, entries[-1].action, entries[-1].result) == (
        "vera", "second_factor.enter", "refused",
    )  # fmt: skip
    text = str([audit.document(entry) for entry in entries])
    assert "guessed" not in text
    assert not [each for each in on if each in text]


def test_logins_are_listed_and_ended(world: World) -> None:
    here, there = Browser(world.app), Browser(world.app)
    for browser in (here, there):
        browser.post("/login", {"name": "otto", "password": PASSWORD})
    page = here.get("/logins").text
    assert problems_of(page) == []
    assert "this one" in page
    numbers = re.findall(r"/logins/(\d+)/end", page)
    assert len(numbers) == 1
    here.post(f"/logins/{numbers[0]}/end")
    assert (is_in(here), is_in(there)) == (True, False)
    there.post("/login", {"name": "otto", "password": PASSWORD})
    here.post("/logins/end-others")
    assert (is_in(here), is_in(there)) == (True, False)


def test_nobody_ends_anothers_login(world: World, as_: As) -> None:
    theirs = Browser(world.app)
    theirs.post("/login", {"name": "vera", "password": PASSWORD})
    page = theirs.get("/logins").text
    own = re.findall(r"/logins/(\d+)/end", page)
    for number in [*own, *map(str, range(1, 30))]:
        as_("operator").post(f"/logins/{number}/end")
    assert is_in(theirs)
