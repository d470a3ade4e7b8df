"""An export holds everything but secrets, and an import makes what is missing, or nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from core.configs import awaited, config_source, configs, transfer, transfer_text
from core.db import write
from core.errors import Invalid
from core.hosts import hosts
from core.models import Storage
from core.settings import Settings
from core.storages import providers, recovery, storages
from tests.core.making import make_config, make_storage, make_tree

SECRET = "very-secret-word"


@pytest.fixture
def full(context: Flask, tmp_path: Path) -> dict[str, Any]:
    """Return the export of an install with a config of files and one of a database."""
    make_storage(tmp_path)
    make_config(
        make_tree(tmp_path / "tree"), "Wiki", cron="0 3 * * *", timezone="Asia/Tokyo", full_read_days=3,
        retention={"days": 30, "keep_monthly": 12}, source={"exclude": ["*.tmp"]},
    )  # fmt: skip
    source = {"host": "db.example", "user": "u", "password": SECRET}
    configs.create(configs.parse({"name": "Base", "type": "database", "source": source}))
    with write() as session:
        row = session.query(Storage).one()
        row.credentials_sealed = providers.seal_credentials(row.id, {"secret_key": SECRET})
    found = transfer_text.read(transfer_text.write(transfer.document()))
    assert isinstance(found, dict)
    return found


def steps(data: Any) -> dict[str, str]:
    return {f"{step.noun} {step.name}": step.what for step in transfer.plan(data).steps}


def test_no_secret_is_in_an_export(full: dict[str, Any]) -> None:
    text = yaml.safe_dump(full)
    assert SECRET not in text
    assert str(recovery.stored()) not in text
    assert "sealed" not in text
    assert "v1." not in text


def test_what_is_there_stays_as_it_is(full: dict[str, Any]) -> None:
    full["configs"][1]["timezone"] = "UTC"
    assert set(steps(full).values()) == {"there"}
    before = transfer.document()
    awaited.apply(transfer.plan(full))
    assert transfer.document() == before


def test_what_is_missing_is_made_as_it_was(full: dict[str, Any]) -> None:
    for row in configs.list_all():
        configs.delete(row.id)
    assert steps(full) == {"storage Local disk": "there", "config Base": "make", "config Wiki": "make"}
    awaited.apply(transfer.plan(full))
    assert transfer.document() == full
    (base, wiki) = configs.list_all()
    assert wiki.source["exclude"] == ["*.tmp"]
    assert config_source.password_of(base) == ""


def test_a_storage_of_this_machine_is_made_with_its_configs(full: dict[str, Any], tmp_path: Path) -> None:
    full["storages"].append({"name": "Second", "provider": "local", "path": str(tmp_path / "second")})
    copied = {**full["configs"][1], "name": "Wiki elsewhere"}
    copied["destinations"] = [{**copied["destinations"][0], "storage": "Second"}]
    full["configs"].append(copied)
    awaited.apply(transfer.plan(full))
    made = next(row for row in configs.list_all() if row.name == "Wiki elsewhere")
    assert made.destinations[0].repository.storage.name == "Second"
    assert (tmp_path / "second" / "repository" / "config").exists()


def test_what_needs_a_secret_waits_and_so_does_what_needs_that(full: dict[str, Any]) -> None:
    full["storages"].append({"name": "Cloud", "provider": "s3", "bucket": "bbb"})
    full["channels"].append({"name": "Chat", "kind": "webhook", "enabled": True})
    away = {**full["configs"][1], "name": "Away"}
    away["destinations"] = [{**away["destinations"][0], "storage": "Cloud"}]
    full["configs"].append(away)
    found = steps(full)
    assert {found[name] for name in ("storage Cloud", "channel Chat", "config Away")} == {"waits"}
    awaited.apply(transfer.plan(full))
    assert "Away" not in [row.name for row in configs.list_all()]


def test_a_host_is_made_after_the_one_its_way_leads_through(full: dict[str, Any]) -> None:
    full["hosts"] = [
        {"name": name, "address": "10.0.0.1", "user": "backup", **({"jump": jump} if jump else {})}
        for name, jump in (("a", "b"), ("b", "c"), ("c", ""))
    ]
    awaited.apply(transfer.plan(full))
    assert {row.name: row.jump and row.jump.name for row in hosts.list_all()} == {
        "a": "b",
        "b": "c",
        "c": None,
    }


@pytest.mark.parametrize("jump", ["b", "nowhere"])
def test_a_way_that_leads_nowhere_is_refused_before_anything_is_made(full: dict[str, Any], jump: str) -> None:
    full["hosts"] = [
        {"name": name, "address": "10.0.0.1", "user": "backup", "jump": way}
        for name, way in (("a", jump), ("b", "a"))
    ]
    with pytest.raises(Invalid) as caught:
        transfer.plan(full)
    assert "hosts (a): jump" in caught.value.fields


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("holdfast"), "file"),
        (lambda data: data.update(holdfast=99), "file"),
        (lambda data: data.update(configs="x"), "configs"),
        (lambda data: data["configs"].append({"name": "New"}), "configs.2 (New): destinations"),
        (lambda data: data["configs"].append(5), "configs.2: destinations"),
        (
            lambda data: data["configs"].append({**data["configs"][1], "name": "N", "cron": "x"}),
            "configs.2 (N)",
        ),
        (lambda data: data["configs"].append({**data["configs"][1], "name": "N", "nix": 1}), "configs.2 (N)"),
        (lambda data: data["hosts"].append({"name": "web", "user": "u"}), "hosts.0 (web): address"),
        (
            lambda data: data["configs"].append(
                {**data["configs"][1], "name": "N", "source": {"paths": ["/srv"], "host": "nix"}}
            ),
            "configs.2 (N): source.host",
        ),
    ],
)
def test_a_document_with_a_mistake_makes_nothing(
    full: dict[str, Any], tmp_path: Path, change: Any, said: str
) -> None:
    full["storages"].append({"name": "Second", "provider": "local", "path": str(tmp_path / "second")})
    change(full)
    with pytest.raises(Invalid) as caught:
        transfer.plan(full)
    assert any(field.startswith(said) for field in caught.value.fields), caught.value.fields
    assert len(storages.list_all()) == 1


def test_a_duplicate_is_the_same_but_paused(full: dict[str, Any]) -> None:
    base, wiki = configs.list_all()
    again = configs.duplicate(wiki.id)
    assert (again.name, again.enabled) == ("Wiki copy", False)
    assert transfer.config(again) == {**transfer.config(wiki), "name": "Wiki copy", "enabled": False}
    assert configs.duplicate(wiki.id).name == "Wiki copy 2"
    copied = configs.duplicate(base.id, "Base two")
    assert config_source.password_of(copied) == SECRET
    with pytest.raises(Invalid):
        configs.duplicate(base.id, "wiki")


def test_the_commands_carry_it_over(full: dict[str, Any], tmp_path: Path, settings: Settings) -> None:
    from webapp import create_app

    runner = create_app(settings).test_cli_runner()
    file = tmp_path / "export.yaml"
    assert runner.invoke(args=["backup", "export", "--to", str(file)]).exit_code == 0
    configs.delete(configs.list_all()[1].id)
    said = runner.invoke(args=["backup", "import", str(file), "--dry-run"])
    assert "config Wiki: would be made" in said.output
    assert len(configs.list_all()) == 1
    assert "config Wiki: made" in runner.invoke(args=["backup", "import", str(file)]).output
    file.write_text("a: [")
    refused = runner.invoke(args=["backup", "import", str(file)])
    assert (refused.exit_code, "This is no YAML, line 1" in refused.output) == (1, True)
