"""A process that is killed right after a change leaves a trace, by every door; refusals are noted as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from core.access import audit, audit_begun, users
from core.configs import configs
from core.models import AuditEntry
from core.settings import PROJECT_DIR
from tests.webapp import world as making
from tests.webapp.api.conftest import make_token
from tests.webapp.conftest import As
from tests.webapp.world import World
from webapp.access import auditing

DIE = """
import os, signal, sys
from core.access import audit_begun
from webapp import create_app

app = create_app()
audit_begun.end = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
"""
CALL = """
head = {"Authorization": f"Bearer {sys.argv[1]}"}
app.test_client().patch(f"/api/backup/configs/{sys.argv[2]}", json={"name": "Changed"}, headers=head)
"""
COMMAND = 'app.test_cli_runner().invoke(args=["user", "disable", "vera"])'


def kill(world: World, program: str, *arguments: str) -> None:
    environ = {**os.environ, **making.environ(world.folder)}
    died = subprocess.run(
        [sys.executable, "-c", DIE + program, *arguments], cwd=PROJECT_DIR, env=environ, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr


def last(world: World) -> AuditEntry:
    """Return the newest entry, after somebody has looked for what was broken off."""
    with world.app.app_context():
        audit_begun.settle()
        return list(audit.every())[-1]


def test_a_call_that_was_killed_after_its_change_is_in_the_log(world: World, as_: As) -> None:
    kill(world, CALL, make_token(world.app, "admin"), world.spare_config_id)
    with world.app.app_context():
        assert configs.get(world.spare_config_id).name == "Changed"
        (row,) = audit_begun.going_on()
        assert row.target == "config Spare, name Changed"
    assert "Being done now" in as_("admin").get("/audit").text
    entry = last(world)
    assert (entry.action, entry.result, entry.door) == ("api.patch_config", "unknown", "api")
    assert entry.actor == "token admin script"
    page = as_("admin").get("/audit").text
    assert "Not known" in page
    assert "Being done now" not in page
    with world.app.app_context():
        assert audit.verify().ok


def test_a_command_that_was_killed_after_its_change_is_in_the_log(world: World) -> None:
    kill(world, COMMAND)
    shown = world.app.test_cli_runner().invoke(args=["backup", "audit", "list"]).output
    assert shown.splitlines()[-1].endswith("user disable name vera: begun")
    entry = last(world)
    assert (entry.action, entry.target, entry.result) == ("user disable", "name vera", "unknown")
    with world.app.app_context():
        assert users.find("vera").disabled_at is not None
        users.enable(users.find("vera").id)


def test_what_cannot_be_noted_first_is_not_done(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError("no space left on device")

    browser = as_("admin")
    monkeypatch.setattr(audit_begun, "begin", full)
    assert browser.post(f"/configs/{world.config_id}/pause").status_code == 500
    with world.app.app_context():
        assert configs.get(world.config_id).enabled


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("/points/{point_id}/pin", {"note": "x" * 500}),
        ("/trash/take-out", {"copy": "987654"}),
    ],
)
def test_a_redirect_that_says_no_is_a_refusal(
    world: World, as_: As, url: str, form: dict[str, object]
) -> None:
    assert as_("admin").post(url.format(**vars(world)), form).status_code == 303
    assert last(world).result == "refused"


@pytest.mark.parametrize(
    ("url", "form", "said"),
    [
        ("/settings/restore-folders", {"folders": "/srv/restored"}, "folders /srv/restored"),
        ("/settings/metrics/networks", {"networks": "10.0.0.0/8"}, "networks 10.0.0.0/8"),
        ("/hosts", {"name": "web", "address": "10.1.2.3", "user": "b", "port": "22"}, "address 10.1.2.3"),
    ],
)
def test_what_a_form_was_about_is_told(
    world: World, as_: As, url: str, form: dict[str, object], said: str
) -> None:
    assert as_("admin").post(url.format(**vars(world)), form).status_code == 303
    assert said in last(world).target


def test_the_keys_that_were_confirmed_are_told(world: World) -> None:
    form = {"host_keys": "ssh-ed25519 AAAA"}
    with world.app.test_request_context(f"/hosts/{world.host_id}/confirm", method="POST", data=form):
        assert auditing._target() == "host <b>host</b>, host_keys ssh-ed25519 AAAA"
