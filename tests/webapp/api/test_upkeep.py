"""Users, channels, pins, the trash, previews, export and import: through the API alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.access import audit, second_factor, users
from core.configs import configs
from core.messaging import channels
from core.points import points
from core.retention import trash
from tests.core.making import back_up, make_config
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.world import PASSWORD, World

HOOK = "https://chat.example/hook/s3cr3t"


def fields(found: Any) -> set[str]:
    return {each["field"] for each in found["errors"]}


def test_the_life_of_a_user(world: World, admin: Caller) -> None:
    made = admin.send("POST", "/users", {"name": "nina", "password": PASSWORD, "role": "operator"}, 201)
    assert (made["name"], made["role"], made["disabled"]) == ("nina", "operator", False)
    where = f"/users/{made['id']}"
    assert PASSWORD not in str(admin.get("/users"))
    assert admin.send("PATCH", where, {"role": "viewer"})["role"] == "viewer"
    admin.send("PUT", f"{where}/password", {"password": "another good password"}, 204)
    with world.app.app_context():
        assert users.authenticate("nina", "another good password", "10.9.8.7").role == "viewer"
    assert admin.send("POST", f"{where}/disable")["disabled"]
    assert not admin.send("POST", f"{where}/enable")["disabled"]
    assert admin.get(where)["secondFactor"] is False


def test_a_lost_second_factor_can_be_reset(world: World, admin: Caller, monkeypatch: Any) -> None:
    turned_off: list[int] = []
    monkeypatch.setattr(second_factor, "turn_off", turned_off.append)
    admin.send("POST", f"/users/{world.user_ids['viewer']}/reset-totp")
    assert turned_off == [world.user_ids["viewer"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/users", {"name": "anna", "password": PASSWORD}, 422, "name"),
        ("POST", "/users", {"name": "short", "password": "x"}, 422, "password"),
        ("POST", "/users", {"name": "n", "password": PASSWORD, "role": "root"}, 422, "role"),
        ("POST", "/users", {"name": "n", "password": PASSWORD, "totpSealed": "x"}, 422, "totpSealed"),
        ("PATCH", "/users/{user_ids[viewer]}", {"role": "root"}, 422, "role"),
        ("PATCH", "/users/{user_ids[viewer]}", {"role": "admin", "passwordHash": "x"}, 422, "passwordHash"),
        ("PUT", "/users/{user_ids[viewer]}/password", {"password": "x"}, 422, "password"),
    ],
)
def test_a_user_that_cannot_be_is_refused(
    world: World, admin: Caller, method: str, path: str, body: Any, status: int, field: str
) -> None:
    found = admin.send(method, path.format(**vars(world)), body, status)
    assert fields(found) == {field}
    assert admin.get(f"/users/{world.user_ids['viewer']}")["role"] == "viewer"


def test_the_last_admin_stays(world: World, admin: Caller) -> None:
    anna = world.user_ids["admin"]
    assert "last admin" in admin.send("PATCH", f"/users/{anna}", {"role": "viewer"}, 409)["detail"]
    admin.send("POST", f"/users/{anna}/disable", status=409)


def test_the_life_of_a_channel(world: World, admin: Caller) -> None:
    sent = {"name": "Ops", "kind": "webhook", "configs": [world.config_id], "target": {"url": HOOK}}
    made = admin.send("POST", "/channels", sent, 201)
    assert (made["kind"], made["configs"], made["repeatHours"]) == ("webhook", [world.config_id], 24)
    assert "s3cr3t" not in str(made)
    where = f"/channels/{made['id']}"
    changed = admin.send("PUT", where, {"name": "Ops 2", "kind": "webhook", "enabled": False})
    assert (changed["name"], changed["enabled"], changed["configs"]) == ("Ops 2", False, [world.config_id])
    with world.app.app_context():
        assert channels.target_of(channels.get(made["id"])).model_dump() == {"url": HOOK}
    assert admin.send("PUT", where, {**admin.get(where), "severity": "error"})["severity"] == "error"
    admin.send("DELETE", where, status=204)
    admin.get(where, 404)


def test_a_test_message_says_how_it_went(world: World, admin: Caller) -> None:
    found = admin.send("POST", f"/channels/{world.channel_id}/test")  # nobody listens there
    assert not found["ok"]
    assert found["text"]
    with world.app.app_context():
        assert list(audit.every())[-1].result == "failed"


def test_a_mail_channel_keeps_its_password_for_its_server_only(world: World, admin: Caller) -> None:
    target = {"host": "mail.example", "user": "u", "password": "very secret", "sender": "a@example.org",
              "recipients": ["b@example.org"]}  # fmt: skip
    made = admin.send("POST", "/channels", {"name": "Mail", "kind": "email", "target": target}, 201)
    assert made["target"]["host"] == "mail.example"
    assert "very secret" not in str(made)
    where = f"/channels/{made['id']}"
    assert admin.send("PUT", where, {**made, "name": "Post"})["name"] == "Post"

    def password() -> str:
        with world.app.app_context():
            return str(channels.target_of(channels.get(made["id"])).model_dump()["password"])

    assert password() == "very secret"
    admin.send("PUT", where, {**made, "target": {**made["target"], "host": "evil.example"}})
    assert password() == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "kind": "pigeon", "target": {}}, "kind"),
        ({"name": "x", "kind": "webhook"}, "target.url"),
        ({"name": "x", "kind": "webhook", "target": {"url": "file:///etc/passwd"}}, "target.url"),
        ({"name": "x", "kind": "webhook", "target": 5}, "target"),
        ({"name": "x", "kind": "webhook", "target": {"url": HOOK, "host": "x"}}, "target.host"),
        ({"name": "x", "kind": "webhook", "target": {"url": HOOK}, "configs": ["nix"]}, "configs"),
        ({"name": "x", "kind": "webhook", "target": {"url": HOOK}, "placeOfIt": "x"}, "placeOfIt"),
        ({"kind": "webhook", "target": {"url": HOOK}}, "name"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(admin: Caller, body: Any, field: str) -> None:
    before = admin.get("/channels")["total"]
    assert fields(admin.send("POST", "/channels", body, 422)) == {field}
    assert admin.get("/channels")["total"] == before


def test_pins_are_set_by_operators_and_taken_away_by_admins(
    world: World, admin: Caller, caller: Call
) -> None:
    where = f"/points/{world.point_id}/pin"
    found = caller("operator").send("POST", where, {"note": "before the move"})
    assert (found["pinNote"], found["pinnedBy"]) == ("before the move", "token operator script")
    caller("operator").send("DELETE", where, status=403)
    admin.send("DELETE", where, status=204)
    assert admin.get(f"/points/{world.point_id}")["pinnedAt"] is None
    assert fields(admin.send("POST", where, {"note": "x" * 500}, 422)) == {"note"}


@pytest.fixture
def trashed(world: World) -> tuple[str, int]:
    """Return a config and a point of it that is in the trash."""
    with world.app.app_context():
        config_id = make_config(world.tree / "letters", f"Trashed {len(configs.list_all())}").id
        back_up(config_id)
        (point,) = points.list_for(config_id)
        trash.throw_in(point.copies[0].repository_id, {point.id: "for this test"})
        return config_id, point.id


def test_the_trash_is_listed_and_put_back(
    world: World, admin: Caller, caller: Call, trashed: tuple[str, int]
) -> None:
    config_id, point_id = trashed
    (listed,) = admin.get(f"/trash?config={config_id}")["items"]
    assert (listed["pointId"], listed["reason"]) == (point_id, "for this test")
    assert listed["goesAt"] > listed["trashedAt"]
    caller("viewer").send("POST", "/trash/take-out", {"points": [point_id]}, 403)
    caller("operator").send("POST", "/trash/take-out", {"points": [point_id, world.point_id]}, 409)
    assert admin.get(f"/trash?config={config_id}")["total"] == 1
    found = caller("operator").send("POST", "/trash/take-out", {"points": [point_id]})
    assert [each["good"] for each in found["points"]] == [True]
    assert admin.get(f"/trash?config={config_id}")["total"] == 0


def test_a_source_is_looked_at_before_it_is_saved(world: World, admin: Caller) -> None:
    source = {"paths": [str(world.tree)], "exclude": ["*.bin"]}
    found = admin.send("POST", "/previews/source", {"type": "files", "source": source})
    assert found["complete"]
    assert found["files"] >= 2
    assert [(each["rule"], each["count"]) for each in found["leftOut"]] == [("*.bin", 1)]
    gone = {"source": {"paths": ["/nowhere/at/all"]}}
    assert fields(admin.send("POST", "/previews/source", gone, 422)) == {"source.paths"}
    admin.send("POST", "/previews/source", {"source": source, "configId": "nix"}, 404)
    assert fields(admin.send("POST", "/previews/source", {"source": source, "x": 1}, 422)) == {"x"}


def test_a_rule_is_tried_before_it_is_set(world: World, admin: Caller) -> None:
    with world.app.app_context():
        config_id = make_config(world.tree / "letters", "Tried").id
        for _ in range(3):
            back_up(config_id)
    (now,) = admin.send("POST", "/previews/retention", {"configId": config_id})["destinations"]
    assert (now["kept"], now["removed"]) == (3, 0)
    tried = {"configId": config_id, "retention": {"maxBackups": 1}}
    (then,) = admin.send("POST", "/previews/retention", tried)["destinations"]
    assert (then["kept"], then["removed"], then["braked"]) == (1, 2, True)
    assert [each["keep"] for each in then["decisions"]] == [True, False, False]
    assert all(each["reason"] for each in then["decisions"])
    with world.app.app_context():
        assert len(points.good_points(config_id)) == 3
    assert fields(admin.send("POST", "/previews/retention", {**tried, "repositoryId": "x"}, 422)) == {
        "repositoryId"
    }


def test_jobs_are_found_by_their_host(world: World, admin: Caller) -> None:
    with world.app.app_context():
        host = {"name": "On host", "source": {"paths": ["/etc"], "host_id": world.host_id}}
        config = configs.create(configs.parse(host))
        config_id = config.id
    job = admin.send("POST", f"/configs/{config_id}/backup", status=202)
    assert [each["id"] for each in admin.get(f"/jobs?host={world.host_id}")["items"]] == [job["id"]]
    assert admin.get("/jobs?host=nix")["total"] == 0
    admin.send("POST", f"/jobs/{job['id']}/cancel")


def test_all_of_it_is_exported_and_imported(world: World, admin: Caller, tmp_path: Path) -> None:
    text = admin.call("GET", "/export").text
    assert "s3cr3t" not in text
    document = yaml.safe_load(text)
    storage = {"name": "Second", "provider": "local", "path": str(tmp_path / "second")}
    document["storages"].append(storage)
    wanted = {"document": yaml.safe_dump(document)}
    dry = admin.send("POST", "/import", {**wanted, "dryRun": True})
    assert (
        dry["done"],
        {"noun": "storage", "name": "Second", "what": "make", "why": "", "place": storage["path"]}
        in dry["steps"],
    ) == (
        False,
        True,
    )
    assert not (tmp_path / "second").exists()
    assert admin.send("POST", "/import", wanted)["done"]
    again = admin.send("POST", "/import", wanted)["steps"]
    assert {each["what"] for each in again} == {"there"}
    assert fields(admin.send("POST", "/import", {"document": "a: ["}, 422)) == {"document"}
    assert fields(admin.send("POST", "/import", {**wanted, "secrets": "[1]"}, 422)) == {"secrets"}


def test_what_an_import_awaits_is_listed_and_dropped(world: World, admin: Caller) -> None:
    text = "{holdfast: 1, storages: [{name: Far, provider: s3, bucket: far}]}"
    (step,) = admin.send("POST", "/import", {"document": text})["steps"]
    assert step["what"] == "waits"
    row = next(each for each in admin.get("/awaited")["items"] if each["name"] == "Far")
    assert "credentials" in row["why"]
    admin.send("DELETE", f"/awaited/{row['id']}", status=204)
    admin.send("DELETE", f"/awaited/{row['id']}", status=404)


def test_encryption_cannot_be_switched_off_without_a_word(world: World, admin: Caller) -> None:
    body = {"name": "Bare", "source": {"paths": [str(world.tree)]}, "encryption": {"enabled": False}}
    found = admin.send("POST", "/configs", body, 422)
    assert fields(found) == {"encryption.enabled"}
    assert "Nothing is stored unencrypted here" in found["detail"]
