"""Attacks by their names. More of each lies beside what it is about: logins, routes, downloads."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest
from argon2 import PasswordHasher

from core.access import audit, sessions, users
from core.configs import configs
from core.db import write
from core.models import Storage
from core.points import tokens
from core.storages import providers, recovery
from tests.webapp.access.test_access import ROUTES, address, methods
from tests.webapp.api.conftest import Caller, make_token
from tests.webapp.conftest import As
from tests.webapp.world import PASSWORD, Browser, World
from webapp import MOST_FORM_BYTES
from webapp.access import access

SECRETS = {"secret_key": "very-secret-word", "session_token": "another-secret-word"}


@pytest.fixture(scope="module")
def admin(world: World) -> Caller:
    """Return a caller of the API that may do everything."""
    return Caller(world.app, make_token(world.app, "admin"))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_csrf_another_site_changes_nothing_with_our_cookie(world: World, as_: As, origin: str) -> None:
    browser, headers = as_("admin"), {"Origin": origin, "Referer": f"{origin}/page"}
    for url in (f"/configs/{world.config_id}/pause", f"/api/backup/alerts/{world.alert_id}/resolve"):
        for sent in ({}, {"csrf_token": "made-up"}):
            assert browser.client.post(url, data=sent, headers=headers).status_code == 400
    as_json = browser.client.post(
        f"/api/backup/configs/{world.config_id}/backup", data="{}", content_type="text/plain", headers=headers
    )
    assert as_json.status_code == 400
    with world.app.app_context():
        assert configs.get(world.config_id).enabled


def test_csrf_no_other_origin_may_read_an_answer(world: World, as_: As) -> None:
    for url in ("/", "/api/backup/configs", "/api/openapi.json"):
        answer = as_("admin").client.get(url, headers={"Origin": "https://evil.example"})
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_session_fixation_a_login_brings_a_token_of_its_own(world: World) -> None:
    browser = Browser(world.app)
    browser.client.set_cookie(access.COOKIE, "known-to-the-attacker")
    browser.post("/login", {"name": "vera", "password": PASSWORD})
    cookie = browser.client.get_cookie(access.COOKIE)
    assert cookie is not None
    assert cookie.value != "known-to-the-attacker"
    attacker = Browser(world.app)
    attacker.client.set_cookie(access.COOKIE, "known-to-the-attacker")
    assert attacker.get("/").status_code == 303
    assert cookie.http_only
    assert cookie.same_site == "Lax"


def test_idor_nobody_reaches_what_is_anothers(world: World, as_: As) -> None:
    with world.app.app_context():
        theirs = sessions.start(users.get(world.user_ids["admin"]), "10.0.0.1")
        login_id = sessions.id_of(theirs)
    operator = as_("operator")
    assert operator.post(f"/tokens/{world.token_id}/revoke").status_code == 404
    operator.post(f"/logins/{login_id}/end")
    with world.app.app_context():
        assert sessions.resume(theirs) is not None
    viewer = Caller(world.app, make_token(world.app, "viewer"))
    viewer.get(f"/tokens/{world.token_id}", 404)
    viewer.send("DELETE", f"/tokens/{world.token_id}", status=404)
    assert viewer.get("/tokens")["items"] == []


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil", "\t//e"])
def test_open_redirect_a_login_leads_to_paths_of_this_site(world: World, target: str) -> None:
    answer = Browser(world.app).post("/login", {"name": "vera", "password": PASSWORD, "next": target})
    assert re.fullmatch(r"/([^/\\].*)?", answer.headers["Location"])
    assert "evil" not in answer.headers["Location"]


TRAVERSALS = ["/../../etc/passwd", "../etc/passwd", "/etc/passwd", "//etc/passwd", "/tmp/../etc/passwd"]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_path_traversal_a_download_stays_in_its_point(
    world: World, as_: As, admin: Caller, path: str
) -> None:
    token = tokens.token_from_path(path.encode())
    for url in ("file", "archive"):
        page = as_("admin").get(f"/points/{world.point_id}/{url}?path={token}")
        api = admin.call("GET", f"/points/{world.point_id}/{url}?path={path}")
        for answer in (page, api):
            assert answer.status_code in (404, 422)
            assert b"root:" not in answer.get_data()
            answer.close()


@pytest.mark.parametrize("path", ["/static/../wsgi.py", "/static/%2e%2e/wsgi.py"])
def test_path_traversal_static_files_stay_in_their_folder(world: World, path: str) -> None:
    answer = world.app.test_client().get(path)
    assert answer.status_code == 404
    answer.close()


@pytest.mark.parametrize("target", ["/etc/../", "/proc/self", "{data}", "{data}/x/../..", "{backups}/x"])
def test_path_traversal_a_restore_goes_nowhere_it_must_not(world: World, admin: Caller, target: str) -> None:
    place = target.format(data=world.folder / "data", backups=world.folder / "backups")
    if place.endswith("/x/../.."):
        place += "/data"
    admin.send("POST", "/restores", {"pointId": world.point_id, "targetPath": place}, 422)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=1", "a\nX-Evil: 1", 'a"; filename="b'])
def test_header_injection_no_input_makes_a_header(world: World, as_: As, admin: Caller, name: str) -> None:
    browser = as_("admin")
    answers = [
        browser.post("/theme", {"theme": name, "next": f"/jobs?{name}"}),
        browser.get("/jobs", query_string={"config": name}),
        admin.client.get("/api/backup/jobs", query_string={"config": name, "status": "ended"},
                         headers={"Authorization": f"Bearer {admin.token}"}),
        browser.post("/login", {"name": "vera", "password": PASSWORD, "next": f"/{name}"}),
    ]  # fmt: skip
    for answer in answers:
        assert "X-Evil" not in answer.headers
        assert not [each for each in answer.headers.getlist("Set-Cookie") if each.startswith("x=1")]
        assert all("\n" not in value and "\r" not in value for value in answer.headers.values())


def test_log_injection_nobody_writes_lines_into_a_log(
    world: World, as_: As, caplog: pytest.LogCaptureFixture
) -> None:
    evil = "x\n2026-01-01 root did it"
    with caplog.at_level(logging.DEBUG):
        Browser(world.app).post("/login", {"name": evil, "password": "x"})
        as_("admin").post("/settings/users", {"name": evil, "password": PASSWORD, "role": "viewer"})
        as_("admin").post(f"/configs/{world.config_id}/pause?x=%0aroot")
        as_("admin").get("/no/such/%0aplace")
    assert not [record for record in caplog.records if "\n2026-01-01 root" in record.getMessage()]
    with world.app.app_context():
        assert all(
            text.isprintable()
            for entry in audit.every()
            for text in (entry.actor, entry.target, entry.detail, entry.action)
        )


def test_login_timing_tells_nobody_which_names_exist(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow hash is computed for a name that is not there, too. By CPU time: others work here, too."""
    monkeypatch.setattr(users, "_hasher", PasswordHasher())
    monkeypatch.setattr(users, "_NOBODY", users.hash_of_nobody())
    taken: dict[str, list[float]] = {"slow hash": [], "nobody at all": []}
    with world.app.app_context():
        users.create("slow hash", PASSWORD, "viewer")
        for number in range(6):
            for name, times in taken.items():
                began = time.process_time()
                with pytest.raises(users.LoginFailed):
                    users.authenticate(name, "wrong wrong wrong", f"10.1.{number}.{len(times)}")
                times.append(time.process_time() - began)
                with write() as session:
                    users.forget_attempts(session, f"user:{name}")
    real, none = map(min, taken.values())  # what else the process did only adds
    assert 0.5 < none / real < 2


def test_upload_limits_too_much_is_refused_before_it_is_looked_at(world: World, as_: As) -> None:
    browser = as_("admin")
    token = browser.token()
    data = {"name": "x" * (MOST_FORM_BYTES + 1)}
    answer = browser.client.post("/configs", data=data, headers={"X-CSRFToken": token})
    assert answer.status_code == 413
    assert browser.get("/").status_code == 200


def test_secrets_in_answers_no_page_and_no_call_tells_one(world: World, as_: As, admin: Caller) -> None:
    with world.app.app_context():
        key = str(recovery.stored())
        with write() as session:
            row = session.get_one(Storage, world.storage_id)
            row.credentials_sealed = providers.seal_credentials(row.id, SECRETS)
        hashes = [user.password_hash for user in users.list_all()]
    never = [*SECRETS.values(), key, *hashes, "v1."]
    answers: list[tuple[str, bytes]] = []
    for endpoint in ROUTES:
        if "GET" in methods(world, endpoint) and not endpoint.startswith(("setup.", "static", "points.")):
            page = as_("admin").get(address(world, endpoint))
            answers.append((endpoint, page.get_data()))
            page.close()
    spec: Any = admin.call("GET", "/api/openapi.json").json
    for path, calls in spec["paths"].items():
        if "get" in calls and "{" not in path:
            answers.append((path, admin.call("GET", path).get_data()))
    told = [(where, secret) for where, text in answers for secret in never if secret.encode() in text]
    with world.app.app_context(), write() as session:
        session.get_one(Storage, world.storage_id).credentials_sealed = ""
    assert len(answers) > 40
    assert told == []
