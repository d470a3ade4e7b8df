"""Configs in both shapes, jobs and what deleting them means, restores and storages: through the API alone."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.configs import configs
from core.db import db, utc_now, write
from core.jobs import job_deletion, jobs
from core.models import Copy, Point, Report, Storage
from core.points import points
from core.restores import restores
from core.retention import pins, trash
from core.storages import recovery, storages
from tests.core.making import back_up, make_config
from tests.webapp.api.conftest import Call, Caller
from tests.webapp.world import World


def short(world: World, name: str, **more: Any) -> dict[str, Any]:
    """Return a config as clients send it that know no more than this."""
    return {
        "name": name, "type": "files", "enabled": True, "schedule": "0 2 * * *",
        "retention": {"days": 30, "maxBackups": 10},
        "storage": {"provider": "local", "config": {"path": str(world.folder / "backups")}},
        "encryption": {"enabled": True}, "compression": True,
        "source": {"paths": [str(world.tree)]}, **more,
    }  # fmt: skip


@pytest.fixture
def made(world: World, admin: Caller, request: pytest.FixtureRequest) -> Any:
    """Return a new config, made in the short shape."""
    return admin.send("POST", "/configs", short(world, request.node.name[:80]), 201)


def put(admin: Caller, document: dict[str, Any], status: int = 200) -> Any:
    return admin.send("PUT", f"/configs/{document['id']}", document, status)


def reasons(found: Any) -> dict[str, str]:
    return {each["field"]: each["reason"] for each in found["errors"]}


def test_the_short_shape_finds_its_storage(world: World, made: Any) -> None:
    assert made["storage"]["id"] == world.storage_id
    assert made["storage"]["config"]["path"] == str(world.folder / "backups")
    (first,) = made["destinations"]
    assert (first["retention"]["days"], first["retention"]["maxBackups"]) == (30, 10)
    assert (made["schedule"], made["compression"], made["encryption"]) == (
        "0 2 * * *",
        True,
        {"enabled": True},
    )
    assert made["state"] == "New"


def test_where_a_storage_is_only_admins_are_told(world: World, made: Any, caller: Call) -> None:
    with world.app.app_context(), write() as session:
        session.get_one(Storage, world.storage_id).test_result = f"Written to {world.folder}."
    for path in (f"/configs/{made['id']}", f"/storages/{world.storage_id}"):
        assert str(world.folder / "backups") in str(caller("admin").get(path)), path
    found = caller("viewer").get(f"/configs/{made['id']}")["storage"]
    assert (found["id"], found["config"]) == (world.storage_id, {})
    assert str(world.folder) not in str(caller("viewer").get(f"/storages/{world.storage_id}"))


def test_it_makes_a_storage_that_is_not_there(world: World, admin: Caller, tmp_path: Path) -> None:
    place = {"provider": "local", "config": {"path": str(tmp_path / "nas"), "maxSize": "100GB"}}
    found = admin.send("POST", "/configs", short(world, "With its storage", storage=place), 201)
    assert found["storage"]["name"] == "nas"
    assert found["storage"]["config"]["maxSize"] == "100GB"
    assert (tmp_path / "nas" / "repository" / "config").exists()
    again = admin.send("POST", "/configs", short(world, "Beside it", storage=place), 201)
    assert again["storage"]["id"] == found["storage"]["id"]
    other = {"provider": "local", "config": {"path": str(tmp_path / "nas"), "maxSize": "5GB"}}
    refused = admin.send("POST", "/configs", short(world, "Another quota", storage=other), 422)
    assert list(reasons(refused)) == ["storage.config.maxSize"]


def test_a_storage_is_made_only_if_all_else_is_fine(world: World, admin: Caller, tmp_path: Path) -> None:
    place = {"provider": "local", "config": {"path": str(tmp_path / "never")}}
    for more in (
        {"retention": {"days": 0}},
        {"name": "Letters & <more>"},
        {"source": {"paths": [str(world.folder / "data")]}},
        {"source": {"paths": [str(tmp_path / "never" / "inside")]}},
        {"schedule": "at noon"},
        {"destinations": [{"repositoryId": "nix"}, {"repositoryId": "nix"}]},
        {"id": "words"},
        {"destinations": [{"repositoryId": "nix"}]},
    ):
        admin.send("POST", "/configs", short(world, "Never", storage=place) | more, 422)
    assert not (tmp_path / "never").exists()
    with world.app.app_context():
        assert "never" not in {each.name for each in storages.list_all()}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "letters & <MORE>"}, "name"),
        ({"type": "lunch"}, "type"),
        ({"retention": {"days": 0}}, "retention.days"),
        ({"retention": {"maxBackups": "many"}}, "retention.maxBackups"),
        ({"retention": 5}, "retention"),
        ({"schedule": "0 2 * *"}, "schedule"),
        ({"schedule": 5}, "schedule"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"source": {"paths": ["relative"]}}, "source.paths"),
        ({"source": {"paths": ["/srv"], "excludes": []}}, "source.excludes"),
        ({"encryption": {"enabled": False}}, "encryption.enabled"),
        ({"encryption": {"enabled": True, "key": "another key than that"}}, "encryption.key"),
        ({"storage": {"provider": "gcs", "config": {"bucket": "b"}}}, "storage.provider"),
        ({"storage": {"provider": "ftp"}}, "storage.provider"),
        ({"storage": {"provider": "s3", "config": {"bucket": "no-keys-here"}}}, "storage.config.accessKey"),
        ({"storage": {"id": "nix"}}, "storage.id"),
        ({"storage": "Local disk"}, "storage"),
        ({"storage": {"config": {"path": "/etc"}}}, "storage.config.path"),
        ({"compression": "zip"}, "compression"),
        ({"id": "Not An Id!"}, "id"),
        ({"id": "new"}, "id"),
        ({"id": 5}, "id"),
        ({"destinations": []}, "destinations"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"nix": 1}, "nix"),
    ],
)
def test_what_is_wrong_is_named(world: World, admin: Caller, changes: dict[str, Any], field: str) -> None:
    found = admin.send("POST", "/configs", short(world, "Wrong") | changes, 422)
    assert field in reasons(found), found
    assert all(reason and "\n" not in reason for reason in reasons(found).values())


def test_an_id_may_be_chosen_once(world: World, admin: Caller) -> None:
    assert admin.send("POST", "/configs", short(world, "Own id", id="daily-wiki"), 201)["id"] == "daily-wiki"
    admin.send("POST", "/configs", short(world, "Same id", id="daily-wiki"), 409)
    admin.send("DELETE", "/configs?id=daily-wiki", status=204)
    found = admin.send("POST", "/configs", short(world, "Same id", id="daily-wiki"), 409)
    assert "deleted" in found["detail"]


def test_what_is_read_can_be_sent_back(admin: Caller, made: Any) -> None:
    again = put(admin, made)
    assert {**again, "updatedAt": ""} == {**made, "updatedAt": ""}


def test_a_client_that_knows_only_the_short_shape_changes_nothing_else(admin: Caller, made: Any) -> None:
    admin.send("PATCH", f"/configs/{made['id']}", {"timezone": "Asia/Tokyo", "fullReadDays": 3,
               "source": {"exclude": ["*.tmp"]}, "metadata": {"team_name": {"x_y": 1}}})  # fmt: skip
    put(admin, {"id": made["id"], "name": "Renamed by a simple client", "type": "files", "compression": False,
                "retention": {"days": 60}, "schedule": "0 4 * * *"})  # fmt: skip
    found = admin.get(f"/configs/{made['id']}")
    assert (found["timezone"], found["fullReadDays"], found["compression"]) == ("Asia/Tokyo", 3, False)
    assert found["source"]["exclude"] == ["*.tmp"]
    assert found["source"]["paths"] == made["source"]["paths"]
    assert found["metadata"] == {"team_name": {"x_y": 1}}
    assert (found["retention"]["days"], found["retention"]["maxBackups"]) == (60, None)
    assert found["destinations"][0]["retention"]["days"] == 60
    assert found["schedule"] == "0 4 * * *"


def test_the_form_of_the_pages_keeps_what_a_client_stored(world: World, made: Any) -> None:
    with world.app.app_context():
        row = configs.get(made["id"])
        configs.update(row.id, configs.to_input(row).model_copy(update={"metadata": {"a": 1}}))
        configs.update(row.id, configs.to_input(row).model_copy(update={"metadata": None}))
        assert configs.get(made["id"]).extra == {"a": 1}


def test_of_two_places_for_the_same_the_changed_one_counts(admin: Caller, made: Any) -> None:
    made["retention"]["days"] = 61
    found = put(admin, made)
    assert (found["retention"]["days"], found["destinations"][0]["retention"]["days"]) == (61, 61)
    found["destinations"][0]["retention"]["days"] = 62
    found = put(admin, found)
    assert (found["retention"]["days"], found["destinations"][0]["retention"]["days"]) == (62, 62)
    found["destinations"][0]["retention"]["days"] = 63
    found["retention"]["days"] = 64
    assert list(reasons(put(admin, found, 422))) == ["retention"]


def test_a_patch_changes_only_what_it_names(admin: Caller, made: Any) -> None:
    url = f"/configs/{made['id']}"
    found = admin.send("PATCH", url, {"retention": {"keepDaily": 7}})
    assert (found["retention"]["days"], found["retention"]["keepDaily"]) == (30, 7)
    found = admin.send("PATCH", url, {"retention": {"keepDaily": None}, "enabled": False})
    assert (found["retention"]["keepDaily"], found["enabled"], found["state"]) == (None, False, "Paused")
    assert list(reasons(admin.send("PATCH", url, {"id": "another-1"}, 422))) == ["id"]
    assert list(reasons(admin.send("PATCH", url, {"type": "database"}, 422)))


def test_the_collection_takes_the_id_in_the_body_or_the_address(admin: Caller, made: Any) -> None:
    made["name"] = "By the body"
    assert admin.send("PUT", "/configs", made)["name"] == "By the body"
    rest = {name: value for name, value in made.items() if name != "id"}
    assert admin.send("PUT", f"/configs?id={made['id']}", rest)["id"] == made["id"]
    admin.send("PUT", "/configs", rest, 422)
    admin.send("PUT", "/configs?id=another", made, 422)
    admin.send("DELETE", "/configs", status=422)
    admin.send("DELETE", "/configs", {"id": made["id"]}, 204)
    admin.send("DELETE", "/configs", {"id": made["id"]}, 404)
    assert admin.get(f"/configs/{made['id']}")["deletedAt"]
    admin.send("PATCH", f"/configs/{made['id']}", {"enabled": True}, 404)


def test_a_password_is_never_given(world: World, admin: Caller) -> None:
    source = {"host": "db.example", "password": "very-secret-word", "user": "u"}
    body = {"name": "A database", "type": "database", "schedule": "", "source": source}
    found = admin.send("POST", "/configs", body, 201)
    answers = [
        found,
        admin.get("/configs"),
        admin.send("PATCH", f"/configs/{found['id']}", {"enabled": False}),
    ]
    assert "very-secret-word" not in str(answers)
    with world.app.app_context():
        from core.configs import config_source

        assert config_source.password_of(configs.get(found["id"])) == "very-secret-word"


def test_the_key_of_the_storage_may_be_said_and_is_never_given(world: World, admin: Caller) -> None:
    with world.app.app_context():
        key = recovery.stored()
    found = admin.send(
        "POST", "/configs", short(world, "Keyed", encryption={"enabled": True, "key": key}), 201
    )
    assert str(key) not in str(found)


@pytest.mark.parametrize(
    ("kind", "status"), [("files", 202), ("incremental", 202), ("full", 422), ("x", 422)]
)
def test_a_backup_starts_as_what_it_may(
    admin: Caller, made: Any, enqueued: list[int], kind: str, status: int
) -> None:
    found = admin.call("POST", f"/configs/{made['id']}/backup", {"type": kind})
    assert found.status_code == status
    if status == 202:
        assert enqueued == [found.json["id"]]
        assert found.headers["Location"] == f"/api/backup/jobs/{found.json['id']}"
        admin.send("POST", f"/configs/{made['id']}/backup", status=409)
        assert admin.get(f"/configs/{made['id']}/backup")["total"] == 1
    else:
        assert "files, incremental" in reasons(found.json)["type"]


def test_jobs_are_found_by_what_they_are(world: World, admin: Caller) -> None:
    every = admin.get("/jobs?perPage=500")["items"]
    failed = admin.get("/jobs?status=failed&kind=backup")["items"]
    assert [each["id"] for each in failed] == [each["id"] for each in every if each["status"] == "failed"]
    assert admin.get(f"/jobs?config={world.config_id}&kind=restore")["total"] == 1
    assert admin.get("/jobs?type=database")["total"] == 0
    assert admin.get("/jobs?type=files&status=ended")["total"] > 2
    before, after = (utc_now().date() + timedelta(days) for days in (-2, 2))  # the day of the page's zone
    assert admin.get(f"/jobs?from={before}&to={after}")["total"] == len(every)
    assert admin.get(f"/jobs?from={after}")["total"] == 0
    assert admin.get("/jobs?to=2020-01-01")["total"] == 0
    paged = [admin.get(f"/jobs?perPage=1&page={page}")["items"][0]["id"] for page in (1, 2)]
    assert paged == [each["id"] for each in every[:2]]


def test_a_log_can_be_read(world: World, admin: Caller) -> None:
    lines = admin.get(f"/jobs/{world.job_id}/log")["items"]
    assert any("is stored" in line["message"] for line in lines)
    assert admin.get(f"/jobs/{world.job_id}/log?problems=true")["total"] == 0


@pytest.fixture
def series(world: World, request: pytest.FixtureRequest, tmp_path: Path) -> list[int]:
    """Return the jobs of a config with four points, the oldest first."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("some words\n")
    with world.app.app_context():
        config = make_config(tmp_path / "tree", request.node.name[:90])
        made = [back_up(config.id).id for _ in range(4)]
        for job in jobs.list_jobs(config_id=config.id, status="queued").items:
            jobs.request_cancel(job.id)  # the clean-up that follows from them
        return made


def live_points(world: World, job_id: int) -> int:
    with world.app.app_context():
        return len([each for each in [points.of_job(job_id)] if each is not None])


def test_deleting_a_job_trashes_its_point(world: World, admin: Caller, series: list[int]) -> None:
    admin.send("DELETE", f"/jobs/{series[0]}", status=204)
    admin.get(f"/jobs/{series[0]}", 404)
    assert series[0] not in [each["id"] for each in admin.get("/jobs?perPage=500")["items"]]
    assert live_points(world, series[0]) == 0
    with world.app.app_context():
        point = db.session.query(Point).filter_by(job_id=series[0]).one()
        assert [copy.trash_reason for copy in point.copies] == [job_deletion.BY_HAND]
        assert points.is_in_trash(point.copies[0])


def test_the_brake_stops_deleting_most_points_in_a_day(
    world: World, admin: Caller, series: list[int]
) -> None:
    for job_id in series[:2]:
        admin.send("DELETE", f"/jobs/{job_id}", status=204)
    found = admin.send("DELETE", f"/jobs/{series[2]}", status=409)
    assert "3 points of 4" in found["detail"]
    assert live_points(world, series[2]) == 1
    admin.send("DELETE", f"/jobs/{series[2]}?confirm=true", status=204)
    found = admin.send("DELETE", f"/jobs/{series[3]}?confirm=true", status=409)
    assert "last good one" in found["detail"]
    assert live_points(world, series[3]) == 1
    assert admin.get(f"/jobs/{series[3]}")["status"] == "completed"


def test_a_pinned_point_is_not_deleted(world: World, admin: Caller, series: list[int]) -> None:
    with world.app.app_context():
        point = points.of_job(series[0])
        assert point is not None
        pins.pin(point.id, "before the move", "anna")
    found = admin.send("DELETE", f"/jobs/{series[0]}?confirm=true", status=409)
    assert "before the move" in found["detail"]
    assert live_points(world, series[0]) == 1


def test_a_running_job_is_not_deleted(world: World, admin: Caller) -> None:
    admin.send("DELETE", f"/jobs/{world.queued_job_id}", status=409)
    admin.get(f"/jobs/{world.queued_job_id}")


def test_many_jobs_at_once_each_with_its_result(world: World, admin: Caller, series: list[int]) -> None:
    body = {"action": "delete", "ids": [series[0], 999_999, world.queued_job_id, series[0]]}
    found = admin.send("POST", "/jobs", body)
    assert [(each["id"], each["status"]) for each in found["results"]] == [
        (series[0], 200), (999_999, 404), (world.queued_job_id, 409)
    ]  # fmt: skip
    assert all(each["detail"] for each in found["results"][1:])
    admin.send("POST", "/jobs", {"action": "burn", "ids": [1]}, 422)
    admin.send("POST", "/jobs", {"action": "cancel", "ids": [10**19]}, 422)
    admin.send("POST", "/jobs", {"action": "cancel", "ids": []}, 422)


def test_of_many_the_newest_is_deleted_last_in_whatever_order(admin: Caller, series: list[int]) -> None:
    asked = sorted(series, reverse=True)
    found = admin.send("POST", "/jobs", {"action": "delete", "ids": asked})["results"]
    assert [each["id"] for each in found] == asked
    assert (found[0]["done"], found[-1]["done"]) == (False, True)  # the brake keeps the newest


@pytest.mark.parametrize(("what", "left"), [("", 4), ("?points=keep", 4), ("?points=trash", 0)])
def test_deleting_a_config_keeps_its_points_unless_told(
    world: World, admin: Caller, series: list[int], what: str, left: int
) -> None:
    config_id = admin.get(f"/jobs/{series[0]}")["configId"]
    admin.send("DELETE", f"/configs/{config_id}{what}", status=204)
    assert sum(live_points(world, job_id) for job_id in series) == left
    with world.app.app_context():
        trash.rescue(config_id)  # what empties the trash asks this first
    assert sum(live_points(world, job_id) for job_id in series) == left


def test_what_is_still_backed_up_is_rescued_from_the_trash(world: World, series: list[int]) -> None:
    with world.app.app_context():
        config_id = str(db.session.get_one(Point, 1).config_id)
        with write() as session:
            for copy in session.query(Copy).join(Point).filter(Point.job_id.in_(series)):
                copy.trashed_at, copy.trash_reason, config_id = utc_now(), "a rule", str(copy.point.config_id)
        trash.rescue(config_id)
    assert sum(live_points(world, job_id) for job_id in series) == 1


def test_points_are_listed_browsed_and_downloaded(world: World, admin: Caller) -> None:
    point = admin.get(f"/points?config={world.config_id}")["items"][-1]
    assert (point["id"], point["good"], point["copies"][0]["live"]) == (world.point_id, True, True)
    listed = admin.get(f"/points/{world.point_id}/files?path={world.tree}/letters")["items"]
    assert [each["name"] for each in listed] == ["old", "big.bin"]
    by_token = admin.call("GET", f"/points/{world.point_id}/file?token={listed[1]['token']}")
    assert by_token.data == (world.tree / "letters" / "big.bin").read_bytes()
    admin.get(f"/points/{world.point_id}/files?path={world.tree}/nix", 404)
    admin.get(f"/points/{world.point_id}/files?path=relative", 422)
    admin.get(f"/points/{world.point_id}/files?token=!!", 422)
    admin.get(f"/points/{world.point_id}/files?path=/&token=Lw", 422)
    odd = admin.get(f"/points/{world.point_id}/files?path={world.tree}")["items"]
    (latin,) = [each for each in odd if "latin" in each["name"]]
    assert admin.call("GET", f"/points/{world.point_id}/file?token={latin['token']}").data == b"not UTF-8\n"


def test_a_restore_is_asked_for_by_paths(
    world: World, admin: Caller, enqueued: list[int], tmp_path: Path
) -> None:
    body = {
        "targetPath": str(tmp_path / "back"),
        "paths": [f"{world.tree}/letters/old"],
        "conflict": "rename",
    }
    found = admin.send("POST", f"/jobs/{world.job_id}/restore", body, 202)
    assert found["pointId"] == world.point_id
    assert enqueued == [found["job"]["id"]]
    assert admin.get(f"/restores/{found['id']}")["conflict"] == "rename"
    assert found["id"] in [each["id"] for each in admin.get("/restores")["items"]]
    admin.send("POST", f"/jobs/{world.failed_job_id}/restore", body, 409)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"targetPath": None}, "targetPath"),
        ({"targetPath": "relative"}, "targetPath"),
        ({"targetPath": "/"}, "targetPath"),
        ({"paths": ["relative"]}, "paths.0"),
        ({"include": ["!!"]}, "include.0"),
        ({"conflict": "burn"}, "conflict"),
        ({"database": {"to": "x"}}, "database"),
        ({"inPlace": True}, "inPlace"),
        ({"inPlace": True, "targetPath": None}, "inPlace"),
        ({"pointId": "x"}, "pointId"),
    ],
)
def test_a_restore_that_cannot_be_is_refused(
    world: World, admin: Caller, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    body = {"pointId": world.point_id, "targetPath": str(tmp_path / "back")} | changes
    assert field in reasons(admin.send("POST", "/restores", body, 422))


def test_files_are_put_back_where_they_were_by_admins_only(
    world: World, caller: Call, enqueued: list[int], tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_text("own\n")
    with world.app.app_context():
        config_id = make_config(tmp_path, "Own").id
        back_up(config_id)
        found = points.latest(config_id)
        assert found is not None
        body = {"pointId": found.id, "inPlace": True, "paths": [str(tmp_path / "own.txt")]}
    assert "inPlace" in reasons(caller("operator").send("POST", "/restores", body, 422))
    made = caller("admin").send("POST", "/restores", body, 202)
    assert (made["targetPath"], made["conflict"]) == (str(tmp_path), "keep")
    assert enqueued[1:] == [made["job"]["id"]]
    with world.app.app_context():
        assert restores.safety_job_of(jobs.get(made["job"]["id"])) == enqueued[0]
        for job_id in enqueued:
            jobs.request_cancel(job_id)


def test_a_storage_is_made_changed_tested_and_deleted(admin: Caller, world: World, tmp_path: Path) -> None:
    body = {"name": "Second disk", "provider": "local", "settings": {"path": str(tmp_path / "second")},
            "quota": "10GB"}  # fmt: skip
    made = admin.send("POST", "/storages", body, 201)
    assert (made["quota"], made["quotaBytes"], len(made["repositoryIds"])) == ("10GB", 10**10, 1)
    admin.send("POST", "/storages", body, 422)  # overlaps
    changed = admin.send("PUT", f"/storages/{made['id']}", {**made, "site": "cellar"})
    assert (changed["site"], changed["quota"]) == ("cellar", "10GB")
    assert admin.send("POST", f"/storages/{made['id']}/test")["ok"] is True
    os.rename(tmp_path / "second" / ".holdfast-storage", tmp_path / "taken")
    assert "marker" in admin.send("POST", f"/storages/{made['id']}/test", status=503)["detail"]
    os.rename(tmp_path / "taken", tmp_path / "second" / ".holdfast-storage")
    admin.send("DELETE", f"/storages/{made['id']}", status=204)
    assert (tmp_path / "second" / "repository" / "config").exists()
    assert "destination" in admin.send("DELETE", f"/storages/{world.storage_id}", status=409)["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "provider"),
        ({"provider": "tape"}, "provider"),
        ({"provider": "local", "name": "x"}, "settings.path"),
        ({"provider": "local", "name": "x", "settings": {"path": "/etc", "bucket": "b"}}, "settings.bucket"),
        ({"provider": "local", "name": "x", "path": "/srv/x"}, "path"),
        ({"provider": "s3", "name": "x", "settings": {"bucket": "bbb"}}, "credentials.accessKey"),
        ({"provider": "local", "name": "x", "settings": {"path": "/srv/x"}, "quota": "much"}, "quota"),
        ({"provider": "local", "name": "x", "settings": 5}, "settings"),
    ],
)
def test_a_storage_that_cannot_be_is_refused(admin: Caller, body: dict[str, Any], field: str) -> None:
    assert field in reasons(admin.send("POST", "/storages", body, 422))


def test_secrets_of_a_storage_are_never_given(world: World, admin: Caller) -> None:
    from core.storages import providers

    with world.app.app_context(), write() as session:
        row = session.get_one(Storage, world.storage_id)
        row.credentials_sealed = providers.seal_credentials(row.id, {"secret_key": "very-secret-word"})
    found = admin.get(f"/storages/{world.storage_id}")
    assert found["hasCredentials"] is True
    assert "very-secret-word" not in str(found)
    assert "v1." not in str(found)
    with world.app.app_context(), write() as session:
        session.get_one(Storage, world.storage_id).credentials_sealed = ""


def test_alerts_are_seen_and_closed(world: World, caller: Call) -> None:
    operator = caller("operator")
    assert world.alert_id in [each["id"] for each in operator.get("/alerts")["items"]]
    found = operator.send("POST", f"/alerts/{world.alert_id}/acknowledge")
    assert found["acknowledgedBy"] == "token operator script"
    operator.send("POST", f"/alerts/{world.alert_id}/resolve")
    assert world.alert_id in [each["id"] for each in operator.get("/alerts?state=resolved")["items"]]
    assert operator.get("/alerts?config=nix")["total"] == 0


def test_numbers_over_all(admin: Caller) -> None:
    found = admin.get("/stats")
    assert found["verdict"]
    assert sum(found["configs"].values()) == admin.get("/configs")["total"]
    (week, *_) = found["success"]
    assert week["days"] == 7
    assert week["bad"] >= 1
    assert week["rate"] == pytest.approx(week["good"] / (week["good"] + week["bad"] + week["missed"]))


def test_reports_are_found_by_their_day(world: World, admin: Caller) -> None:
    with world.app.app_context(), write() as session:
        session.add(Report(day=date(2026, 1, 1), document={"jobs_ended": 3}))
    assert [each["day"] for each in admin.get("/reports")["items"]] == ["2026-01-01"]
    assert admin.get("/reports/2026-01-01")["document"] == {"jobsEnded": 3}
    admin.get("/reports/2026-01-02", 404)
    admin.get("/reports/yesterday", 404)
