"""Export and import on pages: what stops half way is told, and a channel for some is never one for all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from core.access import audit
from core.configs import awaited, configs
from core.errors import Conflict
from core.hosts import hosts
from core.models import AuditEntry
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World

PAGE = "/settings/transfer"


@pytest.fixture
def nothing_waits_after(world: World) -> Iterator[None]:
    """Drop what a test let wait."""
    yield
    with world.app.app_context():
        for row in awaited.list_all():
            awaited.drop(row.id)


def newest(world: World) -> AuditEntry:
    with world.app.app_context():
        return max(audit.every(), key=lambda entry: entry.number)


def sent(**sections: object) -> dict[str, str]:
    return {"document": yaml.safe_dump({"holdfast": 1, **sections})}


@pytest.mark.usefixtures("nothing_waits_after")
def test_an_import_that_stops_half_way_is_no_import_of_nothing(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise Conflict("Another one came between.")

    monkeypatch.setattr(hosts, "create", refuse)
    chat = {"name": "Half chat", "kind": "webhook"}
    host = {"name": "half", "address": "10.0.0.1", "user": "backup"}
    page = as_("admin").post(PAGE, sent(channels=[chat], hosts=[host]))
    assert page.status_code == 409
    assert problems_of(page.text) == []
    assert "Nothing was made" not in page.text
    assert "Not all of it was made: Another one came between." in page.text
    assert "Half chat" in page.text  # it waits
    entry = newest(world)
    assert (entry.action, entry.result) == ("transfer.create", "failed")


@pytest.mark.usefixtures("nothing_waits_after")
def test_the_audit_log_names_what_an_import_made(world: World, as_: As) -> None:
    host = {"name": "imported", "address": "10.0.0.1", "user": "backup"}
    assert as_("admin").post(PAGE, sent(hosts=[host])).status_code == 303
    with world.app.app_context():
        hosts.delete(next(row.id for row in hosts.list_all() if row.name == "imported"))
    entry = newest(world)
    assert (entry.action, entry.result, entry.target) == ("transfer.create", "done", "made host imported")


def test_what_cannot_be_taken_makes_nothing_and_says_so(as_: As) -> None:
    page = as_("admin").post(PAGE, sent(channels=[{"name": "Wrong", "kind": "smoke"}]))
    assert page.status_code == 422
    assert "Nothing was made" in page.text


@pytest.mark.usefixtures("nothing_waits_after")
def test_a_channel_for_some_configs_is_filled_in_for_these(world: World, as_: As) -> None:
    with world.app.app_context():
        name = configs.get(world.config_id).name
        assert len(configs.list_all()) > 1
    chat = {"name": "Some chat", "kind": "webhook", "configs": [name, "Not here at all"]}
    as_("admin").post(PAGE, sent(channels=[chat]))
    with world.app.app_context():
        (row,) = [each for each in awaited.list_all() if each.name == "Some chat"]
        number = row.id
    page = as_("admin").get(f"/channels/new?kind=webhook&awaited={number}").text
    assert f'name="configs" value="{world.config_id}" checked' in page
    assert len(re.findall(r'name="configs" value="[^"]+" checked', page)) == 1
    assert 'value="some" checked' in " ".join(page.split())


@pytest.mark.usefixtures("nothing_waits_after")
def test_the_keys_of_an_imported_server_are_not_taken_as_confirmed(world: World, as_: As) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfGzSdu3p0n5E4ys6OAMTO+WRwwx2qjW03nnR6Na79B"
    away = {
        "name": "Away",
        "provider": "sftp",
        "host": "backup.example",
        "user": "u",
        "path": "/b",
        "host_keys": key,
    }
    assert "sftp:u@backup.example:/b" in as_("admin").post(f"{PAGE}/look", sent(storages=[away])).text
    as_("admin").post(PAGE, sent(storages=[away]))
    with world.app.app_context():
        (number,) = [each.id for each in awaited.list_all() if each.name == "Away"]
    page = as_("admin").get(f"/storages/new?provider=sftp&awaited={number}").text
    assert 'value="backup.example"' in page
    assert key not in page
