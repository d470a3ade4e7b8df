"""Every call of the API, for everybody; and that what it says of itself is true."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from core.access.roles import RANKS, Role
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.world import ROLES, World
from webapp.api import door

# name -> (method, address, least role). In an order in which all can be tried, by each role again.
CALLS: dict[str, tuple[str, str, str]] = {
    "openapi": ("GET", "/api/openapi.json", "anyone"),
    "docs": ("GET", "/api/docs", "anyone"),
    "list_configs": ("GET", "/configs", "viewer"),
    "create_config": ("POST", "/configs", "admin"),
    "put_config": ("PUT", "/configs", "admin"),
    "delete_configs": ("DELETE", "/configs", "admin"),
    "get_config": ("GET", "/configs/{config_id}", "viewer"),
    "replace_config": ("PUT", "/configs/{config_id}", "admin"),
    "patch_config": ("PATCH", "/configs/{config_id}", "admin"),
    "delete_config": ("DELETE", "/configs/{spare_config_id}", "admin"),
    "duplicate_config": ("POST", "/configs/{config_id}/duplicate", "admin"),
    "list_backups": ("GET", "/configs/{config_id}/backup", "viewer"),
    "start_backup": ("POST", "/configs/{config_id}/backup", "operator"),
    "list_jobs": ("GET", "/jobs", "viewer"),
    "change_jobs": ("POST", "/jobs", "operator"),
    "get_job": ("GET", "/jobs/{job_id}", "viewer"),
    "get_log": ("GET", "/jobs/{job_id}/log", "viewer"),
    "cancel_job": ("POST", "/jobs/{queued_job_id}/cancel", "operator"),
    "restore_job": ("POST", "/jobs/{job_id}/restore", "operator"),
    "delete_job": ("DELETE", "/jobs/{queued_job_id}", "admin"),
    "list_restores": ("GET", "/restores", "viewer"),
    "get_restore": ("GET", "/restores/1", "viewer"),
    "create_restore": ("POST", "/restores", "operator"),
    "list_points": ("GET", "/points", "viewer"),
    "get_point": ("GET", "/points/{point_id}", "viewer"),
    "list_files": ("GET", "/points/{point_id}/files", "viewer"),
    "download_file": ("GET", "/points/{point_id}/file?path={tree}/letters/big.bin", "admin"),
    "download_folder": ("GET", "/points/{point_id}/archive?form=zip", "admin"),
    "list_downloads": ("GET", "/downloads", "admin"),
    "build_download": ("POST", "/downloads", "admin"),
    "get_download_rules": ("GET", "/downloads/rules", "admin"),
    "change_download_rules": ("PATCH", "/downloads/rules", "admin"),
    "get_download": ("GET", "/downloads/1", "admin"),
    "fetch_download": ("GET", "/downloads/1/file", "admin"),
    "remove_download": ("DELETE", "/downloads/1", "admin"),
    "search_files": ("GET", "/search?q=first", "viewer"),
    "list_versions": ("GET", "/search/versions?config={config_id}&path={tree}/letters", "viewer"),
    "diff_points": ("GET", "/diffs/{point_id}/{newer_point_id}", "viewer"),
    "diff_file": ("GET", "/diffs/{point_id}/{newer_point_id}/file?path={tree}/letters/new.txt", "admin"),
    "reveal_diff": ("POST", "/diffs/{point_id}/{newer_point_id}/file", "admin"),
    "get_catalog": ("GET", "/catalog", "viewer"),
    "fill_catalog": ("POST", "/catalog/fill", "operator"),
    "rebuild_catalog": ("POST", "/catalog/rebuild", "admin"),
    "list_storages": ("GET", "/storages", "viewer"),
    "create_storage": ("POST", "/storages", "admin"),
    "get_storage": ("GET", "/storages/{storage_id}", "viewer"),
    "replace_storage": ("PUT", "/storages/{storage_id}", "admin"),
    "delete_storage": ("DELETE", "/storages/{storage_id}", "admin"),
    "test_storage": ("POST", "/storages/{storage_id}/test", "operator"),
    "list_reports": ("GET", "/reports", "viewer"),
    "get_report": ("GET", "/reports/2026-01-01", "viewer"),
    "list_alerts": ("GET", "/alerts", "viewer"),
    "get_alert": ("GET", "/alerts/{alert_id}", "viewer"),
    "acknowledge_alert": ("POST", "/alerts/{alert_id}/acknowledge", "operator"),
    "resolve_alert": ("POST", "/alerts/{alert_id}/resolve", "operator"),
    "list_hosts": ("GET", "/hosts", "viewer"),
    "create_host": ("POST", "/hosts", "admin"),
    "get_host": ("GET", "/hosts/{host_id}", "viewer"),
    "replace_host": ("PUT", "/hosts/{host_id}", "admin"),
    "delete_host": ("DELETE", "/hosts/{host_id}", "admin"),
    "list_host_keys": ("GET", "/hosts/{host_id}/keys", "admin"),
    "confirm_host": ("POST", "/hosts/{host_id}/confirm", "admin"),
    "test_host": ("POST", "/hosts/{host_id}/test", "operator"),
    "list_tokens": ("GET", "/tokens", "viewer"),
    "create_token": ("POST", "/tokens", "viewer"),
    "get_token": ("GET", "/tokens/{token_id}", "viewer"),
    "revoke_token": ("DELETE", "/tokens/{token_id}", "viewer"),
    "get_restore_folders": ("GET", "/restore-folders", "operator"),
    "set_restore_folders": ("PUT", "/restore-folders", "admin"),
    "list_users": ("GET", "/users", "admin"),
    "create_user": ("POST", "/users", "admin"),
    "get_user": ("GET", "/users/{user_ids[spare]}", "admin"),
    "change_role": ("PATCH", "/users/{user_ids[spare]}", "admin"),
    "set_user_password": ("PUT", "/users/{user_ids[spare]}/password", "admin"),
    "disable_user": ("POST", "/users/{user_ids[spare]}/disable", "admin"),
    "enable_user": ("POST", "/users/{user_ids[spare]}/enable", "admin"),
    "reset_second_factor": ("POST", "/users/{user_ids[spare]}/reset-totp", "admin"),
    "list_channels": ("GET", "/channels", "admin"),
    "create_channel": ("POST", "/channels", "admin"),
    "get_channel": ("GET", "/channels/{channel_id}", "admin"),
    "replace_channel": ("PUT", "/channels/{channel_id}", "admin"),
    "test_channel": ("POST", "/channels/{channel_id}/test", "admin"),
    "delete_channel": ("DELETE", "/channels/{channel_id}", "admin"),
    "pin_point": ("POST", "/points/{point_id}/pin", "operator"),
    "unpin_point": ("DELETE", "/points/{point_id}/pin", "admin"),
    "list_trash": ("GET", "/trash", "viewer"),
    "take_out_of_trash": ("POST", "/trash/take-out", "operator"),
    "preview_source": ("POST", "/previews/source", "admin"),
    "preview_retention": ("POST", "/previews/retention", "viewer"),
    "export_all": ("GET", "/export", "admin"),
    "import_all": ("POST", "/import", "admin"),
    "list_awaited": ("GET", "/awaited", "admin"),
    "drop_awaited": ("DELETE", "/awaited/{awaited_id}", "admin"),
    "get_stats": ("GET", "/stats", "viewer"),
    "list_audit": ("GET", "/audit", "admin"),
    "verify_audit": ("GET", "/audit/verify", "admin"),
    "export_audit": ("GET", "/audit/export?form=csv", "admin"),
}
ALL_ROLES = ["stranger", *ROLES]


def ask(who: Caller, world: World, name: str) -> TestResponse:
    method, address, _ = CALLS[name]
    body = {} if method in ("POST", "PUT", "PATCH") else None
    answer = who.call(method, address.format(**vars(world)), body)
    answer.get_data()
    answer.close()
    return answer


def test_the_table_names_every_call(world: World) -> None:
    every = {rule.endpoint for rule in world.app.url_map.iter_rules()}
    assert {name.removeprefix("api.") for name in every if name.startswith("api.")} == set(CALLS)


def test_the_table_has_the_roles_that_are_declared() -> None:
    assert {made.name: made.role for made in door.OPERATIONS}.items() <= {
        name: role for name, (_, _, role) in CALLS.items()
    }.items()


@pytest.mark.parametrize("role", ALL_ROLES)
def test_each_role_gets_what_is_its_own(role: str, world: World, caller: Call, enqueued: list[int]) -> None:
    who = Caller(world.app, "") if role == "stranger" else caller(role)  # type: ignore[arg-type]
    wrong = []
    for name, (_, _, least) in CALLS.items():
        answer = ask(who, world, name)
        if RANKS.get(role, 0) >= RANKS.get(least, 0):
            fine = answer.status_code not in (401, 403) and answer.status_code < 500
        else:
            fine = answer.status_code == (401 if role == "stranger" else 403)
        if not fine:
            wrong.append((name, answer.status_code, answer.text[:200]))
    assert wrong == []


def test_each_call_is_described(world: World) -> None:
    spec: Any = world.app.test_client().get("/api/openapi.json").json
    assert spec["openapi"] == "3.1.0"
    listed = {each["operationId"] for path in spec["paths"].values() for each in path.values()}
    assert len(listed) == len(door.OPERATIONS)
    assert "/api/backup/configs/{configId}" in spec["paths"]
    fields = spec["components"]["schemas"]["ConfigRequest"]["properties"]
    assert {"schedule", "retention", "storage", "fullReadDays", "metadata"} <= fields.keys()
    assert "cron" not in fields
    for each in references(spec):
        assert each.split("/")[-1] in spec["components"]["schemas"], each


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [each for item in value.values() for each in references(item)]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def test_the_page_of_the_api_shows_each_call_to_everybody(world: World) -> None:
    from tests.webapp.html import problems_of

    page = world.app.test_client().get("/api/docs").text
    assert problems_of(page) == []
    for made in door.OPERATIONS:
        assert f'id="{made.name}"' in page


def test_an_operator_cancels_no_restore_and_deletes_nothing(world: World, caller: Call) -> None:
    operator = caller("operator")
    operator.send("POST", f"/jobs/{world.restore_job_id}/cancel", status=403)
    found = operator.send("POST", "/jobs", {"action": "delete", "ids": [world.job_id]})
    assert [each["status"] for each in found["results"]] == [403]
    operator.get(f"/jobs/{world.job_id}")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_where_storages_are_is_for_admins(role: Role, world: World, caller: Call, admin: Caller) -> None:
    assert caller(role).get(f"/storages/{world.storage_id}")["settings"] == {}
    assert admin.get(f"/storages/{world.storage_id}")["settings"]["path"]
