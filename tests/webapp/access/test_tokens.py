"""The page of tokens: made for oneself, shown once, revoked."""

from __future__ import annotations

import re

from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World

NEW = re.compile(r"holdfast_[\w-]{43}")


def make(browser: Browser, **more: object) -> str:
    assert (
        browser.post("/tokens", {"name": "deploy", "role": "viewer", "days": "7", **more}).status_code == 303
    )
    page = browser.get("/tokens").text
    assert problems_of(page) == []
    found = NEW.search(page)
    assert found, page
    return found[0]


def works(world: World, token: str) -> bool:
    answer = world.app.test_client().get("/api/backup/jobs", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200


def test_a_new_token_is_shown_once(world: World, as_: As) -> None:
    browser = as_("viewer")
    token = make(browser)
    assert works(world, token)
    assert token not in browser.get("/tokens").text


def test_it_does_not_stand_readable_in_the_cookie(world: World, as_: As) -> None:
    browser = as_("viewer")
    answer = browser.post("/tokens", {"name": "deploy", "role": "viewer", "days": "7"})
    cookies = " ".join(answer.headers.getlist("Set-Cookie"))
    found = NEW.search(browser.get("/tokens").text)
    assert found
    assert found[0] not in cookies


def test_revoking_ends_it(world: World, as_: As) -> None:
    browser = as_("viewer")
    token = make(browser, name="to be revoked")
    page = browser.get("/tokens").text
    number = re.findall(r"/tokens/(\d+)/revoke", page)[0]
    assert browser.post(f"/tokens/{number}/revoke").status_code == 303
    assert not works(world, token)
    assert "revoked" in browser.get("/tokens").text


def test_nobody_revokes_or_sees_anothers(world: World, as_: As) -> None:
    make(as_("admin"), name="the admin's own")
    number = re.findall(r"/tokens/(\d+)/revoke", as_("admin").get("/tokens").text)[0]
    assert as_("operator").post(f"/tokens/{number}/revoke").status_code == 404
    assert "the admin" not in as_("operator").get("/tokens").text


def test_a_role_above_ones_own_is_refused(world: World, as_: As) -> None:
    answer = as_("operator").post("/tokens", {"name": "deploy", "role": "admin", "days": "7"})
    assert answer.status_code == 422
    assert "cannot be admin" in answer.text
    assert problems_of(answer.text) == []
    assert 'value="admin"' not in as_("operator").get("/tokens").text
