"""Who comes in and how, and that every refusal is a problem that a script can read."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from core.access import api_tokens, kept_answers
from core.db import db, utc_now
from core.models import KeptAnswer
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.conftest import As
from tests.webapp.world import World
from webapp.api import idempotency


def assert_problem(answer: TestResponse, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    found = answer.json
    assert found is not None
    assert found["status"] == status
    assert found["detail"]
    return found


@pytest.mark.parametrize("path", ["/configs", "/no/such/thing", "/jobs/1", "/jobs/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_stranger_is_told_so_and_sent_nowhere(world: World, path: str, method: str) -> None:
    answer = Caller(world.app, "").call(method, path)
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Location" not in answer.headers


@pytest.mark.parametrize("path", ["/api/backup/configs", "/api", "/api/", "/api/nix"])
def test_also_before_anything_is_set_up(fresh: Flask, path: str) -> None:
    assert_problem(fresh.test_client().get(path), 401)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic YTpi", "Bearer  ", "nonsense"])
def test_a_wrong_token_is_nobody(world: World, header: str) -> None:
    answer = world.app.test_client().get("/api/backup/configs", headers={"Authorization": header})
    assert_problem(answer, 401)


def test_with_a_wrong_token_no_cookie_counts(world: World, as_: As) -> None:
    browser = as_("admin")
    assert browser.get("/api/backup/configs").status_code == 200
    answer = browser.get("/api/backup/configs", headers={"Authorization": "Bearer wrong"})
    assert_problem(answer, 401)


def test_a_cookie_needs_the_token_of_a_page_and_a_bearer_none(world: World, as_: As, caller: Call) -> None:
    browser, url = as_("operator"), f"/api/backup/alerts/{world.alert_id}/acknowledge"
    found = assert_problem(browser.client.post(url), 400)
    assert "CSRF" in found["detail"]
    token = browser.token()
    assert browser.client.post(url, headers={"X-CSRFToken": token}).status_code == 200
    assert caller("operator").call("POST", f"/alerts/{world.alert_id}/acknowledge").status_code == 200


def test_a_token_opens_no_page(world: World, admin: Caller) -> None:
    answer = admin.client.get("/configs", headers={"Authorization": f"Bearer {admin.token}"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/configs")


def test_a_role_that_is_too_low_is_told_so(world: World, caller: Call) -> None:
    assert_problem(caller("viewer").call("POST", f"/configs/{world.config_id}/backup"), 403)


def test_an_expired_token_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from tests.webapp.api.conftest import make_token

    caller = Caller(world.app, make_token(world.app, "viewer", days=1))
    assert caller.call("GET", "/jobs").status_code == 200
    later = utc_now() + timedelta(days=1, seconds=1)
    monkeypatch.setattr(api_tokens, "utc_now", lambda: later)
    assert_problem(caller.call("GET", "/jobs"), 401)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b"[]", "application/json", 422),
        (b'{"name": "\\ud800"}', "application/json", 422),
        (b'{"name": "a\\u0000b"}', "application/json", 422),
        (b'{"fullReadDays": 1e999}', "application/json", 422),
        (b'{"full_read_days": 7}', "application/json", 422),
        (b'{"metadata": ' + b'{"a":' * 60 + b"1" + b"}" * 60 + b"}", "application/json", 422),
        (b'{"source": ' + b'{"a":' * 60 + b"1" + b"}" * 60 + b"}", "application/json", 422),
        (b'{"name": "' + b"x" * 5_000_000 + b'"}', "application/json", 413),
    ],
)
def test_what_is_no_good_json_is_refused(admin: Caller, content: bytes, kind: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {admin.token}", "Content-Type": kind}
    assert_problem(admin.client.post("/api/backup/configs", data=content, headers=headers), status)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/jobs?perPage=0", "perPage"),
        ("/jobs?page=x", "page"),
        ("/jobs?nix=1", "nix"),
        ("/jobs?status=ok", "status"),
        ("/jobs?kind=lunch", "kind"),
        ("/jobs?from=yesterday", "from"),
        ("/stats?nix=1", "nix"),
        ("/jobs?config=%00", "config"),
    ],
)
def test_a_filter_that_is_none_is_not_ignored(admin: Caller, path: str, field: str) -> None:
    found = assert_problem(admin.call("GET", path), 422)
    assert [each["field"] for each in found["errors"]] == [field]
    assert found["errors"][0]["reason"]


@pytest.mark.parametrize(
    "path",
    ["/configs/nix", "/jobs/999999", "/points/999999", "/restores/999999", "/storages/nix", "/alerts/999999",
     "/tokens/999999", "/jobs/99999999999999999999",
     f"/jobs/{'9' * 5000}", "/configs/%00", "/nix", "/configs/", "/jobs/-1"],
)  # fmt: skip
def test_what_is_not_there_is_404(admin: Caller, path: str) -> None:
    assert_problem(admin.call("GET", path), 404)


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000])
def test_a_number_too_large_is_404_for_every_method(admin: Caller, number: str) -> None:
    assert_problem(admin.call("DELETE", f"/jobs/{number}"), 404)
    assert_problem(admin.call("POST", f"/jobs/{number}/cancel"), 404)


def test_another_method_is_405_and_says_which_there_are(admin: Caller) -> None:
    answer = admin.call("PATCH", "/jobs")
    assert_problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_a_post_with_a_key_is_done_once(world: World, admin: Caller) -> None:
    body = {"name": "once", "role": "viewer"}
    first = admin.send("POST", "/tokens", body, 201, Idempotency_Key="k1")
    again = admin.call("POST", "/tokens", body, Idempotency_Key="k1")
    assert (again.status_code, again.json) == (201, first)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == f"/api/backup/tokens/{first['id']}"
    assert admin.send("POST", "/tokens", body, 201, Idempotency_Key="k2")["id"] != first["id"]


def test_a_key_belongs_to_one_call_of_one_caller(world: World, admin: Caller, caller: Call) -> None:
    url = f"/alerts/{world.alert_id}/acknowledge"
    admin.send("POST", url, Idempotency_Key="k3")
    other = admin.call("POST", "/tokens", {"name": "x"}, Idempotency_Key="k3")
    assert assert_problem(other, 422)["errors"][0]["field"] == "Idempotency-Key"
    assert "Idempotency-Replayed" not in caller("operator").call("POST", url, Idempotency_Key="k3").headers


def test_a_key_whose_call_failed_may_be_used_again(world: World, admin: Caller) -> None:
    admin.send("POST", "/tokens", {"name": ""}, 422, Idempotency_Key="k4")
    admin.send("POST", "/tokens", {"name": "now it is right"}, 201, Idempotency_Key="k4")


def test_a_key_whose_call_is_going_on_is_a_conflict(world: World, admin: Caller) -> None:
    with world.app.app_context():
        me = api_tokens.resume(admin.token, "")
        assert me is not None
        body = b'{"name": "x"}'

        asked = idempotency.mark(b"POST /api/backup/tokens? " + body)
        kept_answers.begin(f"token:{me.id}", "k5", asked)
    headers = {
        "Authorization": f"Bearer {admin.token}", "Idempotency-Key": "k5", "Content-Type": "application/json",
    }  # fmt: skip
    assert_problem(admin.client.post("/api/backup/tokens", data=body, headers=headers), 409)


@pytest.mark.parametrize("key", ["", "x" * 201, "ü", "a b\tc"])
def test_a_bad_key_is_refused(admin: Caller, key: str) -> None:
    headers = {"Authorization": f"Bearer {admin.token}", "Idempotency-Key": key}
    answer = admin.client.post("/api/backup/tokens", json={"name": "x"}, headers=headers)
    assert_problem(answer, 422)


def test_a_broken_call_says_nothing_of_the_inside(
    world: World, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode() -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("core.configs.states.look", lambda *given: explode())
    answer = admin.call("GET", "/stats")
    assert_problem(answer, 500)
    assert "secret inside" not in answer.text


def test_a_key_leaves_nothing_that_a_password_could_be_guessed_by(world: World, admin: Caller) -> None:
    sent = {"name": "guessed", "password": "a password of hers", "role": "viewer"}
    admin.send("POST", "/users", sent, 201, Idempotency_Key="with-a-password")
    with world.app.app_context():
        (row,) = db.session.scalars(select(KeptAnswer).where(KeptAnswer.key == "with-a-password"))
        bare = b"POST /api/backup/users? " + json.dumps(sent).encode()
        assert row.request_hash != hashlib.sha256(bare).hexdigest()
        assert "password of hers" not in row.answer_sealed
    changed = {**sent, "password": "another one of hers"}
    admin.send("POST", "/users", changed, 422, Idempotency_Key="with-a-password")
    assert admin.send("POST", "/users", sent, 201, Idempotency_Key="with-a-password")["name"] == "guessed"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_is_not_taken_for_no_body(world: World, admin: Caller, enqueued: list[int], kind: str) -> None:
    """As curl -d sends it when nobody says that it is JSON."""
    head = {"Authorization": f"Bearer {admin.token}", "Idempotency-Key": "a-form"}
    url = f"/api/backup/configs/{world.config_id}/backup"
    answer = admin.client.post(url, data=b'{"type": "database"}', headers=head, content_type=kind)
    assert (answer.status_code, enqueued) == (415, [])
