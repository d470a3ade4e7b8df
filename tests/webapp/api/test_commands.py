"""Every call of the API has its command, and the commands do what the calls do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from core.messaging import channels
from core.messaging.channel_inputs import WebhookTarget
from core.points import points
from core.storages import storages
from tests.core.making import back_up, make_config
from tests.webapp.world import World
from webapp.api import door

PAIRS = {
    "list_configs": "backup configs list", "create_config": "backup configs set",
    "put_config": "backup configs set", "delete_configs": "backup configs delete",
    "get_config": "backup configs show", "replace_config": "backup configs set",
    "patch_config": "backup configs set", "delete_config": "backup configs delete",
    "duplicate_config": "backup configs duplicate", "list_backups": "backup job list",
    "start_backup": "backup files", "list_jobs": "backup job list", "change_jobs": "backup job cancel",
    "get_job": "backup job show", "get_log": "backup job log", "cancel_job": "backup job cancel",
    "restore_job": "backup restore", "delete_job": "backup job delete",
    "list_restores": "backup restores", "get_restore": "backup job show", "create_restore": "backup restore",
    "list_points": "backup points", "get_point": "backup points", "list_files": "backup ls",
    "download_file": "backup dump", "download_folder": "backup dump",
    "list_downloads": "backup download list", "build_download": "backup download build",
    "get_download": "backup download show", "fetch_download": "backup download fetch",
    "remove_download": "backup download remove", "get_download_rules": "backup download rules",
    "change_download_rules": "backup download rules",
    "search_files": "backup find", "list_versions": "backup versions", "diff_points": "backup diff",
    "diff_file": "backup diff", "reveal_diff": "backup diff", "get_catalog": "backup catalog status",
    "fill_catalog": "backup catalog fill", "rebuild_catalog": "backup catalog rebuild",
    "pin_point": "backup pin", "unpin_point": "backup unpin",
    "list_trash": "backup trash", "take_out_of_trash": "backup untrash",
    "preview_source": "backup preview source", "preview_retention": "backup preview retention",
    "list_storages": "backup storage list", "create_storage": "backup storage set",
    "get_storage": "backup storage show", "replace_storage": "backup storage set",
    "delete_storage": "backup storage delete", "test_storage": "backup storage test",
    "list_reports": "backup report", "get_report": "backup report", "get_stats": "backup status",
    "list_alerts": "backup alerts", "get_alert": "backup alerts", "acknowledge_alert": "backup alerts",
    "resolve_alert": "backup alerts",
    "list_hosts": "backup host list", "create_host": "backup host add", "get_host": "backup host show",
    "replace_host": "backup host set", "delete_host": "backup host delete",
    "list_host_keys": "backup host confirm", "confirm_host": "backup host confirm",
    "test_host": "backup host test",
    "list_channels": "backup channels", "create_channel": "backup channel set",
    "get_channel": "backup channel show", "replace_channel": "backup channel set",
    "delete_channel": "backup channel delete", "test_channel": "backup channels",
    "get_restore_folders": "backup restore-folders", "set_restore_folders": "backup restore-folders",
    "list_users": "user list", "create_user": "user add", "get_user": "user list",
    "change_role": "user role", "set_user_password": "user passwd", "disable_user": "user disable",
    "enable_user": "user enable", "reset_second_factor": "user reset-totp",
    "list_tokens": "user token list", "create_token": "user token add", "get_token": "user token list",
    "revoke_token": "user token revoke",
    "list_audit": "backup audit list", "verify_audit": "backup audit verify",
    "export_audit": "backup audit export",
    "export_all": "backup export", "import_all": "backup import", "list_awaited": "backup awaited",
    "drop_awaited": "backup awaited",
}  # fmt: skip


def test_every_call_has_its_command(world: World) -> None:
    assert set(PAIRS) == {made.name for made in door.OPERATIONS}
    for line in set(PAIRS.values()):
        found: Any = world.app.cli
        for word in line.split():
            assert isinstance(found, click.Group), line
            found = found.commands.get(word)
        assert isinstance(found, click.Command), line
        assert found.help, line


def run(world: World, *words: str, text: str | None = None) -> Result:
    return world.app.test_cli_runner().invoke(args=list(words), input=text)


def said(world: World, *words: str, text: str | None = None) -> str:
    done = run(world, *words, text=text)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def test_the_life_of_a_storage(world: World, tmp_path: Path) -> None:
    wanted = {"provider": "local", "name": "By hand", "settings": {"path": str(tmp_path / "disk")}}
    storage_id = said(world, "backup", "storage", "set", "-", text=json.dumps(wanted)).strip()
    shown = json.loads(said(world, "backup", "storage", "show", "By hand"))
    assert (shown["id"], shown["settings"]["path"]) == (storage_id, str(tmp_path / "disk"))
    shown["quota"] = "5GB"
    said(world, "backup", "storage", "set", "-", text=json.dumps(shown))
    with world.app.app_context():
        assert storages.get(storage_id).quota_bytes == 5_000_000_000
    assert "By hand" in said(world, "backup", "storage", "list")
    said(world, "backup", "storage", "test", "By hand")
    said(world, "backup", "storage", "delete", "By hand")
    assert run(world, "backup", "storage", "show", "By hand").exit_code == 1


def test_the_life_of_a_channel(world: World) -> None:
    wanted = {"name": "By hand", "kind": "webhook", "target": {"url": "https://chat.example/s3cr3t"}}
    number = int(said(world, "backup", "channel", "set", "-", text=json.dumps(wanted)))
    shown = said(world, "backup", "channel", "show", "By hand")
    assert "s3cr3t" not in shown
    changed = {**json.loads(shown), "severity": "error"}
    said(world, "backup", "channel", "set", "-", text=json.dumps(changed))
    with world.app.app_context():
        assert channels.get(number).severity == "error"
        assert channels.target_of(channels.get(number)) == WebhookTarget(url="https://chat.example/s3cr3t")
    said(world, "backup", "channel", "delete", "By hand")


@pytest.mark.parametrize("noun", ["storage", "channel"])
def test_what_is_wrong_is_named_as_clients_call_it(world: World, noun: str) -> None:
    wanted = {"name": "x", "nixOfThis": 1, "provider": "local", "kind": "webhook", "settings": {"path": "/x"}}
    done = run(world, "backup", noun, "set", "-", text=json.dumps(wanted))
    assert done.exit_code == 1
    assert "This field is not known" in done.output or "nixOfThis" in done.output
    assert "Nothing was changed" in done.output
    assert run(world, "backup", noun, "set", "-", text="[]").exit_code == 2


def test_jobs_are_listed_read_and_deleted(world: World) -> None:
    listed = json.loads(said(world, "backup", "job", "list", "--kind", "backup", "--json"))["jobs"]
    assert world.job_id in [each["id"] for each in listed]
    assert json.loads(said(world, "backup", "job", "show", str(world.restore_job_id)))["targetPath"]
    assert "UTC" in said(world, "backup", "job", "log", str(world.failed_job_id))
    done = run(world, "backup", "job", "cancel", str(world.queued_job_id), "987654")
    assert (done.exit_code, f"Job {world.queued_job_id} will stop." in done.output) == (1, True)
    said(world, "backup", "job", "delete", str(world.queued_job_id))
    assert run(world, "backup", "job", "show", str(world.queued_job_id)).exit_code == 1
    assert str(world.restore_job_id) in said(world, "backup", "restores")


def test_points_are_looked_into(world: World) -> None:
    point = str(world.point_id)
    assert "big.bin" in said(world, "backup", "ls", point, f"{world.tree}/letters")
    path = f"{world.tree}/letters/old/first.txt"
    assert said(world, "backup", "dump", point, path) == "the first letter\n"
    assert run(world, "backup", "dump", point, "relative").exit_code == 2
    to = world.folder / "all.tar"
    said(world, "backup", "dump", point, "/", "--archive", "tar", "--to", str(to))
    assert to.stat().st_size > 12_000_000


def test_it_says_before_what_a_rule_does(world: World) -> None:
    with world.app.app_context():
        config_id = make_config(world.tree / "letters", "Looked at").id
        for _ in range(3):
            back_up(config_id)
    text = said(world, "backup", "preview", "retention", "Looked at", "--max-backups", "1")
    assert "1 kept, 2 removed" in text
    assert json.loads(said(world, "backup", "preview", "source", "Looked at"))["files"] == 3
    with world.app.app_context():
        assert len(points.good_points(config_id)) == 3


def test_a_user_comes_back_in_another_role(world: World) -> None:
    said(world, "user", "disable", "vera")
    said(world, "user", "enable", "vera")
    said(world, "user", "role", "vera", "operator")
    assert "vera  operator" in said(world, "user", "list")
    assert run(world, "user", "role", "anna", "viewer").exit_code == 1
    said(world, "user", "role", "vera", "viewer")


def test_a_host_is_changed_and_deleted(world: World) -> None:
    shown = json.loads(said(world, "backup", "host", "show", "<b>host</b>"))
    said(world, "backup", "host", "set", "-", text=json.dumps({**shown, "parallelJobs": 5}))
    assert json.loads(said(world, "backup", "host", "show", "<b>host</b>"))["parallelJobs"] == 5
    said(world, "backup", "host", "delete", "<b>host</b>")
    assert run(world, "backup", "host", "show", "<b>host</b>").exit_code == 1
