"""First start in the browser, as a person walks it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flask import Flask

from core import setup
from core.access import users
from core.configs import configs
from core.db import db
from core.jobs import jobs
from core.settings import load
from core.storages import recovery
from tests.webapp.html import problems_of
from tests.webapp.world import PASSWORD, Browser, environ
from webapp import create_app
from webapp.access import access


def token_of(app: Flask) -> str:
    with app.app_context():
        return setup.setup_token() or ""


def make_admin(browser: Browser) -> Browser:
    """Walk the first step."""
    app = browser.client.application
    data = {"token": token_of(app), "name": "anna", "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/setup", data).headers["Location"] == "/setup/storage"
    return browser


def make_storage(browser: Browser) -> Browser:
    """Walk the second step."""
    folder = backups_of(browser.client.application)
    assert browser.post("/setup/storage", {"path": folder}).headers["Location"] == "/setup/recovery"
    return browser


def backups_of(app: Flask) -> str:
    from core import app_state

    with app.app_context():
        return app_state.settings().backup_dir


def confirm(browser: Browser) -> Browser:
    """Type the parts back that are asked for, as read from the page with the key."""
    page = browser.get("/setup/recovery").text
    groups = re.findall(r"<li><b>([0-9A-Z]{5})</b>", page)
    assert len(groups) == 8
    asked = re.findall(r'name="part_(\d)"', browser.get("/setup/recovery/confirm").text)
    assert len(asked) == 3
    answer = browser.post("/setup/recovery/confirm", {f"part_{n}": groups[int(n) - 1].lower() for n in asked})
    assert answer.headers["Location"] == "/setup/config"
    return browser


def set_up(browser: Browser) -> Browser:
    """Walk all steps but the first config."""
    return confirm(make_storage(make_admin(browser)))


def test_everybody_is_led_to_set_up_first(fresh: Flask) -> None:
    browser = Browser(fresh)
    for url in ("/", "/jobs", "/login", "/configs/new"):
        assert browser.get(url).headers["Location"] == "/setup"
    page = browser.get("/setup").text
    assert "not set up yet" in page
    assert 'name="password"' not in page


def test_only_the_link_makes_the_first_admin(fresh: Flask) -> None:
    browser = Browser(fresh)
    assert "not the right one" in browser.get("/setup?token=guess").text
    data = {"token": "guess", "name": "eve", "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/setup", data).status_code == 422
    with fresh.app_context():
        assert not users.any_admin()


def test_the_link_works_once(fresh: Flask) -> None:
    token = token_of(fresh)
    make_admin(Browser(fresh))
    stranger = Browser(fresh)
    assert stranger.get(f"/setup?token={token}").headers["Location"] == "/login"
    data = {"token": token, "name": "eve", "password": PASSWORD, "again": PASSWORD}
    assert stranger.post("/setup", data).status_code == 422
    with fresh.app_context():
        assert [user.name for user in users.list_all()] == ["anna"]


def test_what_was_typed_is_not_lost_and_passwords_are_not_sent_back(fresh: Flask) -> None:
    data = {"token": token_of(fresh), "name": "anna", "password": "short", "again": "short"}
    response = Browser(fresh).post("/setup", data)
    assert response.status_code == 422
    assert 'value="anna"' in response.text
    assert "at least 12 characters" in response.text
    assert 'value="short"' not in response.text


def test_two_passwords_that_differ_make_nobody(fresh: Flask) -> None:
    data = {"token": token_of(fresh), "name": "anna", "password": PASSWORD, "again": PASSWORD + "x"}
    response = Browser(fresh).post("/setup", data)
    assert response.status_code == 422
    assert "The two passwords differ." in response.text
    with fresh.app_context():
        assert not users.any_admin()


def test_a_new_admin_is_led_to_the_storage(fresh: Flask) -> None:
    browser = make_admin(Browser(fresh))
    assert browser.get("/").headers["Location"] == "/setup/storage"
    page = browser.get("/setup/storage").text
    assert problems_of(page) == []
    assert backups_of(fresh) in page


def test_a_bad_folder_is_refused_in_place(fresh: Flask) -> None:
    browser = make_admin(Browser(fresh))
    response = browser.post("/setup/storage", {"path": "relative/place"})
    assert response.status_code == 422
    assert 'value="relative/place"' in response.text
    assert "absolute" in response.text


def test_a_storage_sent_twice_is_made_once(fresh: Flask) -> None:
    browser = make_storage(make_admin(Browser(fresh)))
    assert browser.post("/setup/storage", {"path": "/elsewhere"}).headers["Location"] == "/setup/recovery"
    assert not os.path.exists("/elsewhere")


def test_the_recovery_key_is_shown_until_it_is_confirmed(fresh: Flask) -> None:
    browser = make_storage(make_admin(Browser(fresh)))
    with fresh.app_context():
        key = recovery.stored() or ""
    assert key in browser.get("/setup/recovery").text
    file = browser.get("/setup/recovery/file")
    assert key in file.text
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert key not in browser.get("/setup/recovery/confirm").text
    confirm(browser)
    assert browser.get("/setup/recovery").headers["Location"] == "/setup/config"
    assert key not in browser.get("/setup/recovery/file").text


def test_wrong_parts_are_named_and_confirm_nothing(fresh: Flask) -> None:
    browser = make_storage(make_admin(Browser(fresh)))
    response = browser.post("/setup/recovery/confirm", {})
    assert response.status_code == 422
    assert response.text.count("not what stands there") == 3
    with fresh.app_context():
        assert not recovery.confirmed()


def test_the_first_config_can_be_backed_up_at_once(fresh: Flask) -> None:
    browser = set_up(Browser(fresh))
    page = browser.get("/setup/config").text
    assert problems_of(page) == []
    assert "Save and back up now" in page
    data = {
        "name": "First",
        "paths": os.path.dirname(__file__),
        "schedule": "daily",
        "time": "02:30",
        "timezone": "UTC",
        "destinations.0.retention.days": "14",
        "then": "back-up",
        "first": "yes",
    }
    response = browser.post("/setup/config", data)
    with fresh.app_context():
        (config,) = configs.list_all()
        assert config.cron == "30 2 * * *"
        pending = jobs.pending_of(config.id)
        assert pending is not None
        assert pending.enqueued_at is not None
        assert response.headers["Location"] == f"/configs/{config.id}"
    assert f'id="job-{pending.id}-progress"' in browser.get(response.headers["Location"]).text


def test_a_first_config_refused_stays_in_set_up(fresh: Flask) -> None:
    browser = set_up(Browser(fresh))
    assert 'action="/setup/config"' in browser.get("/setup/config").text
    data = {"name": "First", "paths": "", "schedule": "manual", "first": "yes"}
    response = browser.post("/setup/config", data)
    assert response.status_code == 422
    assert 'id="setup-steps"' in response.text
    assert 'action="/setup/config"' in response.text
    assert problems_of(response.text) == []


def test_a_login_cookie_is_not_for_scripts(fresh: Flask) -> None:
    browser = make_admin(Browser(fresh))
    cookie = browser.client.get_cookie(access.COOKIE)
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"


def test_a_key_from_the_environment_is_typed_back_whole(tmp_path: Path) -> None:
    key = "a key of my own, from a safe"
    settings = load({**environ(tmp_path), "BACKUP_ENCRYPTION_KEY": key})
    app = create_app(settings)
    with app.app_context():
        setup.apply_environment(settings)
    browser = Browser(app)
    data = {"token": token_of(app), "name": "anna", "password": PASSWORD, "again": PASSWORD}
    browser.post("/setup", data)
    assert browser.get("/setup/storage").headers["Location"] == "/setup/recovery"
    assert browser.get("/setup/recovery").headers["Location"] == "/setup/recovery/confirm"
    page = browser.get("/setup/recovery/confirm").text
    assert "You brought the key yourself" in page
    assert key not in page
    assert "recovery key is not confirmed" in browser.get("/").text
    assert browser.post("/setup/recovery/confirm", {"part_1": "not it"}).status_code == 422
    answer = browser.post("/setup/recovery/confirm", {"part_1": key})
    assert answer.headers["Location"] == "/setup/config"
    assert "recovery key is not confirmed" not in browser.get("/").text
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
