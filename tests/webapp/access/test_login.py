"""Logging in and out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.access import sessions, users
from core.db import utc_now
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import PASSWORD, Browser, World
from webapp.access import access


def test_a_person_logs_in_and_out(world: World) -> None:
    browser = Browser(world.app)
    response = browser.post("/login", {"name": "vera", "password": PASSWORD})
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert "vera" in browser.get("/").text
    cookie = browser.client.get_cookie(access.COOKIE)
    assert browser.post("/logout").headers["Location"] == "/login"
    assert browser.client.get_cookie(access.COOKIE) is None
    assert cookie is not None
    browser.client.set_cookie(access.COOKIE, cookie.value)
    assert browser.get("/").status_code == 303  # the login is over, not only its cookie gone


def test_a_wrong_password_says_no_more_than_that(world: World) -> None:
    pages = [
        Browser(world.app).post("/login", {"name": name, "password": "wrong wrong wrong"})
        for name in ("otto", "nobody")
    ]
    assert {page.status_code for page in pages} == {422}
    for page in pages:
        assert "The name or the password is wrong." in page.text
        assert problems_of(page.text) == []
    assert 'value="otto"' in pages[0].text
    assert "wrong wrong wrong" not in pages[0].text


def test_too_many_guesses_have_to_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, now = Browser(world.app), utc_now()
    monkeypatch.setattr(users, "utc_now", lambda: now)
    for _ in range(users.FREE_FAILURES_OF_A_NAME):
        browser.post("/login", {"name": "guessed", "password": "wrong wrong wrong"})
    response = browser.post("/login", {"name": "guessed", "password": PASSWORD})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert "Too many failed logins." in response.text


@pytest.mark.parametrize("target", ["/jobs?page=2", "/points/1"])
def test_a_login_leads_to_the_page_asked_for(world: World, target: str) -> None:
    browser = Browser(world.app)
    answer = browser.post("/login", {"name": "vera", "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == target


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:x",
        "evil",
    ],
)
def test_a_login_never_leads_elsewhere(world: World, target: str) -> None:
    browser = Browser(world.app)
    answer = browser.post("/login", {"name": "vera", "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == "/"
    assert browser.post("/theme", {"theme": "dark", "next": target}).headers["Location"] == "/"


def test_a_login_drops_what_the_browser_had_before(world: World) -> None:
    browser = Browser(world.app)
    before = browser.token()
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    answer = browser.client.post("/settings/password", data={"csrf_token": before})
    assert answer.status_code == 400


def test_a_cookie_made_up_is_nobody(world: World) -> None:
    browser = Browser(world.app)
    browser.client.set_cookie(access.COOKIE, "made-up")
    assert browser.get("/").status_code == 303


def test_light_and_dark_are_remembered(world: World, as_: As) -> None:
    browser = as_("viewer")
    assert "data-theme" not in browser.get("/").text.partition(">")[2].partition("<head>")[0]
    assert browser.post("/theme", {"theme": "dark", "next": "/jobs"}).headers["Location"] == "/jobs"
    assert '<html lang="en" data-theme="dark">' in browser.get("/").text
    browser.post("/theme", {"theme": "<script>"})
    assert '<html lang="en" data-theme="dark">' in browser.get("/").text


def test_over_https_the_cookies_stay_there(world: World) -> None:
    browser = Browser(world.app)
    client = browser.client
    page = client.get("/login", base_url="https://localhost").text
    token = page.partition('"X-CSRFToken": "')[2].partition('"')[0]
    answer = client.post(
        "/login",
        base_url="https://localhost",
        data={"csrf_token": token, "name": "vera", "password": PASSWORD},
        headers={"Referer": "https://localhost/login"},
    )
    (cookie,) = (line for line in answer.headers.getlist("Set-Cookie") if line.startswith(access.COOKIE))
    assert "Secure" in cookie


def test_a_page_left_open_does_not_stay_logged_in(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, now = as_("viewer"), utc_now()
    for hour in range(1, 13):
        monkeypatch.setattr(sessions, "utc_now", lambda hour=hour: now + timedelta(hours=hour))
        answer = browser.fragment("/overview/rail")
    assert answer.status_code == 401
