"""A small install with everything in it that a page can show: made once for a module of tests."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from core import setup
from core.access import api_tokens, sessions, users
from core.access.api_tokens import TokenInput
from core.alerting import alerts, mutes
from core.configs import awaited, configs, transfer
from core.hosts import host_inputs, hosts
from core.jobs import jobs
from core.messaging import channels
from core.messaging.channel_inputs import ChannelInput, WebhookTarget
from core.models import Job
from core.points import points
from core.restores import restores
from core.settings import load
from core.storages import recovery
from tests.core.making import back_up, make_config, run
from tests.ports import free_port
from tests.prepared import lay_database
from webapp import create_app
from webapp.access import access

PASSWORD = "correct horse battery"
ROLES = ("viewer", "operator", "admin")
# A name that a careless page would break on, or run; its slash is one that may stand in a name.
NASTY = "<script>alert(1)<∕script> & \"quotes\" 'single' Ü.txt"

NASTY_FOLDER = "<img src=x onerror=alert(1)>"


@dataclass
class World:
    """The app and the ids of what is in it."""

    app: Flask
    folder: Path
    tree: Path
    config_id: str = ""
    spare_config_id: str = ""
    point_id: int = 0
    newer_point_id: int = 0
    job_id: int = 0
    failed_job_id: int = 0
    queued_job_id: int = 0
    restore_job_id: int = 0
    alert_id: int = 0
    channel_id: int = 0
    mute_id: int = 0
    storage_id: str = ""
    host_id: str = ""
    destination_id: int = 0
    token_id: int = 0
    awaited_id: int = 0
    user_ids: dict[str, int] = field(default_factory=dict)


class Browser:
    """A client that keeps cookies and sends the CSRF token of the page it saw, as a person's browser does."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, url: str, **more: object) -> TestResponse:
        """Open an address."""
        return self.client.get(url, **more)  # type: ignore[arg-type]

    def fragment(self, url: str, **headers: str) -> TestResponse:
        """Open an address as htmx does."""
        return self.client.get(url, headers={"HX-Request": "true", **headers})

    def token(self) -> str:
        """Return the CSRF token of a page that anybody may see."""
        page = self.client.get("/login", follow_redirects=True).text
        found = re.search(r'"X-CSRFToken": "([^"]+)"', page)
        assert found, page
        return found[1]

    def post(self, url: str, data: dict[str, object] | None = None, *, htmx: bool = False) -> TestResponse:
        """Send a form with its token."""
        token = self.token()
        if htmx:
            return self.client.post(url, data=data, headers={"HX-Request": "true", "X-CSRFToken": token})
        return self.client.post(url, data={"csrf_token": token, **(data or {})})


def environ(folder: Path) -> dict[str, str]:
    """Return an environment whose folders all lie in `folder`."""
    return {
        "HOLDFAST_DATA_DIR": str(folder / "data"),
        "BACKUP_DIR": str(folder / "backups"),
        "TZ": "Europe/Berlin",
    }


def make_app(folder: Path) -> Flask:
    """Return an app on a fresh install."""
    found = load(environ(folder))
    lay_database(found)
    app = create_app(found)
    app.testing = False  # errors are answered as in earnest
    return app


def browse_as(app: Flask, role: str, user_id: int) -> Browser:
    """Return a browser that is logged in; "stranger" is not."""
    browser = Browser(app)
    if role != "stranger":
        with app.app_context():
            token = sessions.start(users.get(user_id), "127.0.0.1")
        browser.client.set_cookie(access.COOKIE, token)
    return browser


def make_tree(folder: Path) -> Path:
    """Write what is backed up: text, a nasty name, a name that is not UTF-8, folders in folders."""
    (folder / "letters" / "old").mkdir(parents=True)
    (folder / "letters" / "old" / "first.txt").write_text("the first letter\n")
    (folder / "letters" / "big.bin").write_bytes(os.urandom(12_000_000))
    (folder / NASTY).write_text("nasty\n")
    (folder / "empty").mkdir()
    (folder / NASTY_FOLDER).mkdir()
    with open(os.fsencode(folder) + b"/latin-\xe9.txt", "wb") as file:
        file.write(b"not UTF-8\n")
    os.symlink("letters", folder / "link")
    os.symlink("<b>nowhere</b>", folder / "astray")
    return folder


def make_world(folder: Path) -> World:
    """Set an install up as a person would, with a backup, a failure, a restore, an alert."""
    app = make_app(folder)
    world = World(app, folder, make_tree(folder / "tree"))
    with app.app_context():
        _make_people(world)
        world.storage_id = setup.create_first_storage(str(folder / "backups")).id
        key = (recovery.stored() or "").split("-")
        setup.confirm_recovery_key([key[place - 1] for place in setup.recovery_challenge()])
        _make_runs(world)
        _make_host(world)
        world.awaited_id = _awaited()
    return world


def _make_people(world: World) -> None:
    token = setup.setup_token() or ""
    world.user_ids["admin"] = setup.create_admin(token, "anna", PASSWORD).id
    world.user_ids["operator"] = users.create("otto", PASSWORD, "operator").id
    world.user_ids["viewer"] = users.create("vera", PASSWORD, "viewer").id
    admin = users.get(world.user_ids["admin"])
    world.token_id = api_tokens.create(TokenInput(name="<i>spare</i>"), admin)[0].id
    world.user_ids["spare"] = users.create("<b>spare</b>", PASSWORD, "viewer").id


def _make_runs(world: World) -> None:
    config = make_config(world.tree, "Letters & <more>", cron="0 3 * * *", timezone="Europe/Berlin")
    world.config_id = config.id
    world.destination_id = config.destinations[0].id
    world.job_id = back_up(config.id).id
    (world.tree / "letters" / "new.txt").write_text("new\n")
    back_up(config.id)
    world.newer_point_id, world.point_id = (point.id for point in points.list_for(world.config_id))
    job = restores.create(
        restores.validate({"point_id": world.point_id, "target_path": str(world.folder / "restored")})
    )
    world.restore_job_id = run(job).id
    spare = make_config(world.folder / "tree" / "letters", "Spare")
    world.spare_config_id = spare.id
    gone = make_config(world.folder / "gone", "Gone")
    world.failed_job_id = _failed(back_up(gone.id))
    world.alert_id = alerts.list_open()[0].id
    chat = WebhookTarget(url="http://127.0.0.1:1/hook/s3cr3t")  # nobody listens there
    world.channel_id = channels.create(ChannelInput(name="Chat", kind="webhook"), chat).id
    world.mute_id = mutes.mute(1, "anna", kind="spare").id
    world.queued_job_id = jobs.create_backup(spare.id, "manual").id
    deleted = make_config(world.tree, "Deleted")
    configs.delete(deleted.id)


def _make_host(world: World) -> None:
    """Add a host that answers nobody: what looks at it is told so at once."""
    given = {"name": "<b>host</b>", "address": "127.0.0.1", "port": str(free_port()), "user": "backup"}
    world.host_id = hosts.create(host_inputs.parse(given)).id


def _awaited() -> int:
    """Import a storage whose credentials nobody has given yet."""
    cloud = {"name": "<u>cloud</u>", "provider": "s3", "bucket": "wanted"}
    awaited.apply(transfer.plan({"holdfast": 1, "storages": [cloud]}))
    return awaited.list_all()[0].id


def _failed(job: Job) -> int:
    assert job.status == "failed", job.summary
    return job.id
