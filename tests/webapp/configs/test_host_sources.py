"""Databases and configuration of a host in the browser: the forms, the line to paste, the pages of points."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from core.configs import configs
from core.hosts import hosts
from core.points import points
from tests.core.making import back_up, make_tree
from tests.servers.postgres import Cluster
from tests.servers.sshd import Sshd
from tests.webapp.configs.test_databases import form as database_form
from tests.webapp.conftest import As
from tests.webapp.hosts.test_hosts import confirmed
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World


@pytest.fixture
def admin(as_: As) -> Browser:
    return as_("admin")


def test_databases_by_way_of_a_host(
    world: World, admin: Browser, sshd: Sshd, postgres: Cluster, database: str
) -> None:
    url = confirmed(admin, sshd, "db1")
    host_id = url.rpartition("/")[2]
    assert f"/configs/new?host_id={host_id}&amp;type=database" in admin.get(url).text
    page = admin.get(f"/configs/new?type=database&host_id={host_id}").text
    assert problems_of(page) == []
    assert 'value="db1 Databases"' in page
    assert re.search(rf'<option value="{host_id}" selected>', page)
    given = database_form(postgres, database, name="Far shop", host_id=host_id)
    answer = admin.post("/configs/preview", given, htmx=True)
    assert (answer.status_code, problems_of(answer.text)) == (200, [])
    assert "may read everything" in answer.text
    summary = html.unescape(admin.post("/configs/summary", given, htmx=True).text)
    assert f"{database} on 127.0.0.1 by way of db1" in summary
    answer = admin.post("/configs", given)
    assert answer.status_code == 303, answer.text
    with world.app.app_context():
        config_id = next(each.id for each in configs.list_all() if each.name == "Far shop")
        assert back_up(config_id).status == "completed"
        point = points.latest(config_id)
        assert point is not None
    for place in (
        f"/configs/{config_id}",
        f"/points/{point.id}",
        f"/restores/new?point_id={point.id}",
        "/configs",
    ):
        shown = admin.get(place)
        assert (shown.status_code, problems_of(shown.text)) == (200, []), place
    page = html.unescape(admin.get(url).text)
    allowed = f'permitlisten="localhost:1",permitopen="127.0.0.1:{postgres.port}"'
    assert f"restrict,port-forwarding,{allowed} ssh-ed25519" in page
    assert problems_of(admin.get(url).text) == []


def test_configuration_of_a_host(world: World, admin: Browser, sshd: Sshd, tmp_path: Path) -> None:
    url = confirmed(admin, sshd, "conf1")
    host_id = url.rpartition("/")[2]
    page = admin.get(f"/configs/new?type=config&host_id={host_id}").text
    assert problems_of(page) == []
    assert re.search(r">\s*/etc</textarea>", page), "nothing of this machine is proposed"
    assert "login shell" in page
    assert f"/configs/new?type=files&amp;host_id={host_id}" in page, "another type, of the same host"
    given = {
        "type": "config", "name": "Far configuration", "host_id": host_id, "variables": "HOME",
        "paths": str(make_tree(tmp_path / "etc")), "services": "yes", "schedule": "manual", "timezone": "UTC",
        "destinations.0.retention.days": "30", "compression": "auto", "then": "save",
    }  # fmt: skip
    assert admin.post("/configs", given).status_code == 303
    with world.app.app_context():
        config_id = next(each.id for each in configs.list_all() if each.name == "Far configuration")
        assert back_up(config_id).status == "completed"
        point = points.latest(config_id)
        assert point is not None
    page = admin.get(f"/points/{point.id}").text
    assert problems_of(page) == []
    assert "Compare with now" not in page
    assert "for this machine only" in page
    page = admin.get(f"/compare/{point.id}/environment").text
    assert problems_of(page) == []
    assert "Variables of the login shell" in page
    assert "What is otherwise on conf1 now" in page
    assert "Compare files" not in page
    assert "as they were" in admin.get(f"/compare/{point.id}/since").text
    with world.app.app_context():
        host = hosts.find("conf1")
        kept = {"name": host.name, "address": host.address, "user": host.user, "login": "keep"}
    assert admin.post(url, {**kept, "port": "1"}).status_code == 303
    page = admin.get(f"/compare/{point.id}/since")
    assert (page.status_code, problems_of(page.text)) == (200, [])
    assert "What is otherwise now is not known" in page.text
    assert admin.get(f"/configs/{config_id}/edit").status_code == 200
    assert admin.get(f"/restores/new?point_id={point.id}").status_code == 200
