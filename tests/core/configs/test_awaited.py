"""What an import cannot make waits, does nothing, and is made once it lacks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.configs import awaited, config_source, configs, transfer, transfer_text
from core.configs.transfer import Step
from core.errors import Invalid, NotFound
from core.messaging import channels
from core.messaging.channel_inputs import EmailTarget, WebhookTarget
from core.storages import storage_inputs, storage_setup, storages
from storage_adapters.s3 import S3Settings
from tests.core.making import make_config, make_storage

WAITING = ["storage Cloud", "config Wiki", "channel Chat", "channel Mail"]


@pytest.fixture
def document(context: Flask, tmp_path: Path, s3_settings: S3Settings) -> dict[str, Any]:
    """Return an export with a bucket, a config that goes there, one that does not, and channels."""
    make_storage(tmp_path)
    (tmp_path / "tree").mkdir()
    config = {"type": "files", "source": {"paths": [str(tmp_path / "tree")]}}
    mail = {"host": "mail.example", "sender": "a@example.org", "recipients": ["b@example.org"]}
    return {
        "holdfast": 1,
        "storages": [{"name": "Cloud", "provider": "s3", "endpoint": s3_settings.endpoint,
                      "bucket": s3_settings.bucket, "prefix": s3_settings.prefix.rstrip("/"),
                      "region": s3_settings.region, "quota": "5GB"}],
        "configs": [
            {**config, "name": "Wiki", "destinations": [{"storage": "Local disk"}, {"storage": "Cloud"}]},
            {**config, "name": "Here", "destinations": [{"storage": "Local disk"}]},
        ],
        "channels": [
            {"name": "Chat", "kind": "webhook", "configs": ["Here"]},
            {"name": "Mail", "kind": "email", "target": {**mail, "user": "u"}},
            {"name": "Open relay", "kind": "email", "target": mail, "enabled": False},
        ],
    }  # fmt: skip


def secrets(settings: S3Settings) -> dict[str, Any]:
    return {
        "storages": {"Cloud": {"access_key": settings.access_key, "secret_key": settings.secret_key}},
        "channels": {"Chat": {"url": "https://chat.example/hook"}, "Mail": {"password": "p"}},
    }


def waiting() -> list[str]:
    return [f"{row.noun} {row.name}" for row in awaited.list_all()]


def names() -> list[str]:
    return [row.name for row in configs.list_all()]


def test_a_plan_alone_makes_nothing(document: dict[str, Any]) -> None:
    found = {f"{step.noun} {step.name}": step.what for step in transfer.plan(document).steps}
    assert {name for name, what in found.items() if what == "waits"} == set(WAITING)
    assert {name for name, what in found.items() if what == "make"} == {"config Here", "channel Open relay"}
    assert (waiting(), names()) == ([], [])


def test_a_plan_says_where_secrets_would_go(document: dict[str, Any], s3_settings: S3Settings) -> None:
    places = {step.name: step.place for step in transfer.plan(document).steps}
    assert s3_settings.endpoint in places["Cloud"]
    assert (places["Mail"], places["Open relay"], places["Chat"]) == ("mail.example", "mail.example", "")
    assert "chat.example" in next(
        step.place for step in transfer.plan(document, secrets(s3_settings)).steps if step.name == "Chat"
    )


def test_what_waits_is_no_storage_no_config_no_channel(document: dict[str, Any]) -> None:
    awaited.apply(transfer.plan(document))
    assert waiting() == WAITING
    assert [row.name for row in storages.list_all()] == ["Local disk"]
    assert names() == ["Here"]
    (relay,) = channels.list_all()
    assert (relay.name, relay.enabled) == ("Open relay", False)
    assert "credentials" in awaited.why(awaited.list_all()[0])
    assert "Cloud" in awaited.why(awaited.list_all()[1])


def test_the_same_again_changes_nothing(document: dict[str, Any]) -> None:
    awaited.apply(transfer.plan(document))
    before = transfer.document()
    awaited.apply(transfer.plan(document))
    assert waiting() == WAITING
    assert transfer.document() == before


def test_secrets_beside_it_make_all_of_it(document: dict[str, Any], s3_settings: S3Settings) -> None:
    awaited.apply(transfer.plan(document))
    awaited.apply(transfer.plan(document, secrets(s3_settings)))
    assert waiting() == []
    assert [row.name for row in storages.list_all()] == ["Cloud", "Local disk"]
    assert storages.list_all()[0].quota_bytes == 5_000_000_000
    wiki = next(row for row in configs.list_all() if row.name == "Wiki")
    assert [each.repository.storage.name for each in wiki.destinations] == ["Local disk", "Cloud"]
    chat, mail, _ = channels.list_all()
    assert channels.target_of(chat) == WebhookTarget(url="https://chat.example/hook")
    target = channels.target_of(mail)
    assert isinstance(target, EmailTarget)
    assert (target.user, target.password) == ("u", "p")
    here = next(row for row in configs.list_all() if row.name == "Here")
    assert chat.config_ids == [here.id]
    again = transfer.document()
    assert {each["name"] for each in again["channels"]} == {"Chat", "Mail", "Open relay"}
    assert "chat.example" not in str(again)


def test_a_storage_made_by_hand_lets_its_configs_be_made(
    document: dict[str, Any], s3_settings: S3Settings
) -> None:
    awaited.apply(transfer.plan(document))
    given = {**document["storages"][0], **secrets(s3_settings)["storages"]["Cloud"]}
    storage_setup.create(storage_inputs.parse(given))
    assert awaited.follow() == [Step("config", "Wiki", "make")]
    assert waiting() == ["channel Chat", "channel Mail"]
    assert sorted(names()) == ["Here", "Wiki"]


def test_what_is_dropped_waits_no_more(document: dict[str, Any]) -> None:
    awaited.apply(transfer.plan(document))
    awaited.drop(awaited.list_all()[0].id)
    assert waiting() == WAITING[1:]
    with pytest.raises(NotFound):
        awaited.drop(10**6)


def test_no_secret_is_kept_of_what_waits(document: dict[str, Any]) -> None:
    base = {"name": "Base", "type": "database", "source": {"host": "db.example", "user": "u"},
            "destinations": [{"storage": "Cloud"}]}  # fmt: skip
    document["configs"].append(base)
    given = {"configs": {"Base": {"password": "very-secret"}}}
    awaited.apply(transfer.plan(document, given))
    assert "config Base" in waiting()
    assert "very-secret" not in str([row.document for row in awaited.list_all()])


def test_a_password_given_beside_it_is_the_config_s(document: dict[str, Any]) -> None:
    base = {"name": "Base", "type": "database", "source": {"host": "db.example", "user": "u"},
            "destinations": [{"storage": "Local disk"}]}  # fmt: skip
    document["configs"].append(base)
    plan = transfer.plan(document, {"configs": {"Base": {"password": "very-secret"}}})
    assert Step("config", "Base", "make", place="db.example:5432") in plan.steps
    awaited.apply(plan)
    made = next(row for row in configs.list_all() if row.name == "Base")
    assert config_source.password_of(made) == "very-secret"


def test_a_database_that_waits_says_that_its_password_is_not_kept(document: dict[str, Any]) -> None:
    base = {"name": "Base", "type": "database", "source": {"host": "db.example", "user": "u"},
            "destinations": [{"storage": "Cloud"}]}  # fmt: skip
    document["configs"].append(base)
    plan = transfer.plan(document, {"configs": {"Base": {"password": "very-secret"}}})
    (step,) = [each for each in plan.steps if each.name == "Base"]
    assert "its password is not kept" in step.why


def test_no_secret_is_kept_that_was_written_into_the_document(document: dict[str, Any]) -> None:
    document["storages"][0] |= {"access_key": "very-secret", "secret_key": "very-secret"}
    document["channels"][0]["target"] = {"url": "https://chat.example/very-secret"}
    document["channels"][1]["target"]["password"] = "very-secret"
    base = {"name": "Base", "type": "database", "destinations": [{"storage": "Cloud"}],
            "source": {"host": "db.example", "user": "u", "password": "very-secret"}}  # fmt: skip
    document["configs"].append(base)
    awaited.apply(transfer.plan(document))
    assert set(WAITING) | {"config Base"} == set(waiting())
    assert "very-secret" not in str([row.document for row in awaited.list_all()])


def test_what_waits_keeps_the_server_of_a_url_and_not_its_password(document: dict[str, Any]) -> None:
    url = "postgresql://keeper:very-secret@db.example:5433/shop?sslmode=require"
    base = {"name": "Base", "type": "database", "source": {"url": url},
            "destinations": [{"storage": "Cloud"}]}  # fmt: skip
    document["configs"] = [base]
    document["channels"] = []
    awaited.apply(transfer.plan(document))
    (found,) = [row.document for row in awaited.list_all() if row.name == "Base"]
    assert "very-secret" not in str(found)
    source = found["source"]
    assert [source[name] for name in ("host", "port", "user", "database", "ssl_mode")] == [
        "db.example", 5433, "keeper", "shop", "require",
    ]  # fmt: skip


def test_an_import_that_stops_half_way_keeps_what_it_made_and_what_waits(
    document: dict[str, Any], tmp_path: Path
) -> None:
    document["hosts"] = [{"name": "web", "address": "10.0.0.1", "user": "backup"}]
    plan = transfer.plan(document)
    make_config(tmp_path / "tree", "here")  # between the look and the import
    with pytest.raises(awaited.HalfMade, match="Not all of it was made: There is already a config"):
        awaited.apply(plan)
    assert plan.made == ["host web"]
    assert waiting() == WAITING


def test_names_that_are_one_here_are_one_in_a_file(document: dict[str, Any]) -> None:
    document["configs"].append({**document["configs"][1], "name": "HERE"})
    with pytest.raises(Invalid) as caught:
        transfer.plan(document)
    assert list(caught.value.fields) == ["configs.2 (HERE): name"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "secrets"),
        ({"nix": {}}, "secrets"),
        ({"storages": 5}, "secrets.storages"),
        ({"storages": {"Other": {"secret_key": "very-secret"}}}, "secrets.storages.Other"),
        ({"storages": {"Cloud": {"secret_key": 5}}}, "secrets.storages.Cloud"),
        ({"storages": {"Cloud": {"bucket": "very-secret"}}}, "secrets.storages.Cloud"),
        ({"channels": {"Chat": {"url": "file:///etc/very-secret"}}}, "channels.0 (Chat): url"),
    ],
)
def test_secrets_that_cannot_be_are_refused_and_not_repeated(
    document: dict[str, Any], given: Any, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        transfer.plan(document, given)
    assert list(caught.value.fields) == [field]
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "!!python/object/apply:os.system ['true']",
        "a: &a [1]\nb: *a",
        "a: &a [*a]",
        "\0",
        "a: .nan",
        "[" * 3000,
        "x" * (transfer_text.MOST_BYTES + 1),
    ],
    ids=["cut", "code", "alias", "circle", "zero", "nan", "deep", "large"],
)
def test_text_that_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        transfer_text.read(text)
    assert list(caught.value.fields) == ["file"]


def test_names_that_stand_twice_are_refused(document: dict[str, Any]) -> None:
    document["storages"].append(document["storages"][0])
    with pytest.raises(Invalid) as caught:
        transfer.plan(document)
    assert list(caught.value.fields) == ["storages.1 (Cloud): name"]
