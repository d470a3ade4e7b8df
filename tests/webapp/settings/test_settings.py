"""People, passwords."""

from __future__ import annotations

from core.access import users
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import PASSWORD, Browser, World

NEW_PASSWORD = "another good password"


def test_an_admin_adds_a_person(world: World, as_: As) -> None:
    browser = as_("admin")
    data = {"name": "nora", "password": NEW_PASSWORD, "role": "operator"}
    assert browser.post("/settings/users", data).status_code == 303
    with world.app.app_context():
        assert users.find("nora").role == "operator"
    page = browser.get("/settings").text
    assert "nora" in page
    assert NEW_PASSWORD not in page


def test_a_person_that_cannot_be_added_is_still_in_the_form(world: World, as_: As) -> None:
    data = {"name": "vera", "password": NEW_PASSWORD, "role": "king"}
    response = as_("admin").post("/settings/users", data)
    assert response.status_code == 422
    assert 'value="vera"' in response.text
    assert problems_of(response.text) == []


def test_a_disabled_person_is_out_at_once(world: World, as_: As) -> None:
    theirs = as_("spare")
    assert theirs.get("/").status_code == 200
    browser = as_("admin")
    browser.post(f"/settings/users/{world.user_ids['spare']}/disable")
    assert theirs.get("/").status_code == 303
    assert "disabled" in browser.get(f"/settings/users/{world.user_ids['spare']}").text
    browser.post(f"/settings/users/{world.user_ids['spare']}/enable")


def test_the_last_admin_stays(world: World, as_: As) -> None:
    browser, own = as_("admin"), world.user_ids["admin"]
    for url, data in (
        (f"/settings/users/{own}/disable", {}),
        (f"/settings/users/{own}/role", {"role": "viewer"}),
    ):
        response = browser.post(url, data)
        assert response.status_code == 409
        assert "last admin" in response.text


def test_a_new_role_holds_from_the_next_click(world: World, as_: As) -> None:
    theirs, browser = as_("spare"), as_("admin")
    assert theirs.get("/configs/new").status_code == 403
    browser.post(f"/settings/users/{world.user_ids['spare']}/role", {"role": "admin"})
    assert theirs.get("/configs/new").status_code == 200
    browser.post(f"/settings/users/{world.user_ids['spare']}/role", {"role": "viewer"})


def test_ones_own_password_is_changed_with_the_present_one(world: World, as_: As) -> None:
    browser, other = as_("viewer"), as_("viewer")
    data = {"present_password": PASSWORD, "new_password": NEW_PASSWORD, "again": NEW_PASSWORD}
    wrong = browser.post("/settings/password", {**data, "present_password": "not it at all"})
    assert wrong.status_code == 422
    assert "not your present password" in wrong.text
    assert browser.post("/settings/password", {**data, "again": "different one"}).status_code == 422
    assert browser.post("/settings/password", data).status_code == 303
    assert "Your password is changed" in browser.get("/settings").text
    assert other.get("/").status_code == 303
    fresh = Browser(world.app)
    assert fresh.post("/login", {"name": "vera", "password": NEW_PASSWORD}).status_code == 303


def test_a_viewer_sees_only_their_own_password(world: World, as_: As) -> None:
    page = as_("operator").get("/settings").text
    assert "Your password" in page
    assert "Channels" not in page
    assert "Add a person" not in page
