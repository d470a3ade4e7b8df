"""Configs: one schema for all doors, said by field what is wrong; rows that keep what a person decided."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core import setup
from core.alerting import alerts
from core.configs import configs, source_files
from core.db import write
from core.errors import Invalid, NotFound, Refused
from core.jobs import jobs
from core.models import Job
from core.storages import storage_setup


def data(**changes: Any) -> dict[str, Any]:
    """Return input for a config, changed."""
    return {
        "name": "Wiki",
        "source": {"paths": ["/etc"]},
        "cron": "0 2 * * *",
        "timezone": "Europe/Berlin",
    } | changes


@pytest.fixture
def disk(context: Flask, tmp_path: Path) -> str:
    """Return the id of the first repository."""
    return setup.create_first_storage(str(tmp_path / "disk")).repositories[0].id


def test_what_was_decided_is_kept_and_shown_again(disk: str) -> None:
    given = configs.parse(
        data(
            source={
                "paths": "/srv/wiki/\n\n /etc \n/etc",
                "exclude": "*.tmp\n/srv/wiki/cache",
                "iexclude": ["*.BAK"],
                "exclude_caches": "on",
                "exclude_if_present": ".nobackup\nTAG:head er",
                "exclude_larger_than": "5G",
                "one_file_system": True,
            },
            retention={"days": "", "max_backups": "30"},
            compression="max",
            full_read_days="14",
        )
    )
    assert given.source.paths == ["/srv/wiki", "/etc"]
    assert given.source.exclude_if_present == [".nobackup", "TAG:head er"]
    config = configs.create(given)
    shown = configs.to_input(configs.get(config.id))
    (first,) = shown.destinations
    assert (first.repository_id, first.tier, first.retention) == (disk, "custom", given.retention)
    assert shown == given.model_copy(update={"repository_id": disk, "destinations": [first]})
    assert configs.parse(shown.model_dump()) == shown
    assert config.retention == {"days": None, "max_backups": 30}
    assert config.destinations[0].repository_id == disk


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "a\nb"}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"type": "tape"}, {"type"}),
        ({"type": "database"}, {"paths"}),
        ({"source": {}}, {"paths"}),
        ({"source": {"paths": "\n \n"}}, {"paths"}),
        ({"source": {"paths": ["etc"]}}, {"paths"}),
        ({"source": {"paths": ["/a\0b"]}}, {"paths"}),
        ({"source": {"paths": ["/etc"], "exclude": ["[a"]}}, {"exclude"}),
        ({"source": {"paths": ["/etc"], "exclude_larger_than": "5X"}}, {"exclude_larger_than"}),
        ({"source": {"paths": ["/etc"], "exclude_larger_than": "-5"}}, {"exclude_larger_than"}),
        ({"source": {"paths": ["/etc"], "exclude_if_present": ":x"}}, {"exclude_if_present"}),
        ({"cron": "0 2 * *"}, {"cron"}),
        ({"timezone": "Mars"}, {"timezone"}),
        ({"retention": {"days": 0}}, {"retention.days"}),
        ({"retention": {"days": "x", "max_backups": "-1"}}, {"retention.days", "retention.max_backups"}),
        ({"compression": "zip"}, {"compression"}),
        ({"full_read_days": 0}, {"full_read_days"}),
        ({"source": {"paths": ["x"]}, "cron": "x", "name": ""}, {"paths", "cron", "name"}),
        ({"colour": "red"}, {"colour"}),
    ],
)
def test_each_wrong_field_gets_a_sentence(change: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(Invalid) as caught:
        configs.parse(data(**change))
    assert set(caught.value.fields) == fields
    for sentence in caught.value.fields.values():
        assert sentence[0].isupper() or not sentence[0].isalpha()
        assert sentence.endswith(".")
        assert "Value error" not in sentence


def test_without_a_storage_there_is_no_config(context: Flask) -> None:
    with pytest.raises(Refused, match="storage"):
        configs.create(configs.parse(data()))
    assert configs.list_all() == []


def test_a_name_is_taken_until_its_config_is_deleted(disk: str) -> None:
    first = configs.create(configs.parse(data()))
    with pytest.raises(Invalid) as caught:
        configs.create(configs.parse(data(name="wiki")))
    assert set(caught.value.fields) == {"name"}
    configs.delete(first.id)
    assert configs.create(configs.parse(data())).id != first.id
    assert [config.id for config in configs.list_all(deleted=True)] == [first.id]


def test_a_name_that_is_free_is_offered(disk: str) -> None:
    for name in ("Daily Files", "DAILY FILES 2"):
        configs.create(configs.parse(data(name=name)))
    assert configs.offered()["name"] == "Daily Files 3"
    assert configs.offered("database")["name"] == "Daily Database"


def test_a_deleted_config_is_gone_but_for_those_who_ask(disk: str) -> None:
    config = configs.create(configs.parse(data()))
    configs.delete(config.id)
    for call in (configs.get, configs.delete, lambda config_id: configs.set_enabled(config_id, True)):
        with pytest.raises(NotFound):
            call(config.id)
    assert configs.get(config.id, deleted=True).deleted_at is not None


def test_a_deleted_config_needs_nobody(disk: str) -> None:
    first, second = (configs.create(configs.parse(data(name=name))).id for name in ("First", "Second"))
    for config_id in (first, second):
        for kind in ("failure", "missed"):
            texts = ("It failed.", "Nothing is lost.", "Run it again.")
            alerts.raise_alert(f"{kind}:{config_id}", kind, "error", *texts, config_id=config_id)
    configs.delete(first)
    assert {alert.config_id for alert in alerts.list_open()} == {second}


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_config_with_a_job_going_on_is_not_deleted(disk: str, status: str) -> None:
    config = configs.create(configs.parse(data()))
    job_id = jobs.create_backup(config.id, "manual").id
    with write() as session:
        session.get_one(Job, job_id).status = status
    with pytest.raises(Refused, match=f"Job {job_id}"):
        configs.delete(config.id)


def test_a_change_of_schedule_begins_anew_and_others_do_not(disk: str) -> None:
    config = configs.create(configs.parse(data()))
    since = config.scheduled_since
    configs.update(config.id, configs.parse(data(name="Wiki 2", retention={"days": 3})))
    assert configs.get(config.id).scheduled_since == since
    configs.update(config.id, configs.parse(data(name="Wiki 2", cron="0 4 * * *")))
    changed = configs.get(config.id)
    assert changed.scheduled_since is not None
    assert since is not None
    assert changed.scheduled_since > since
    assert (changed.name, changed.retention["days"]) == ("Wiki 2", 14)


def test_update_refuses_a_name_of_another(disk: str) -> None:
    configs.create(configs.parse(data()))
    other = configs.create(configs.parse(data(name="Mail")))
    with pytest.raises(Invalid):
        configs.update(other.id, configs.parse(data(name="WIKI")))
    configs.update(other.id, configs.parse(data(name="MAIL")))


def test_a_config_goes_where_it_is_told(disk: str, tmp_path: Path) -> None:
    second = storage_setup.create_local("Second", str(tmp_path / "second"), "a password").repositories[0].id
    config = configs.create(configs.parse(data(repository_id=second)))
    assert config.destinations[0].repository_id == second
    configs.update(config.id, configs.parse(data()))
    assert configs.get(config.id).destinations[0].repository_id == second
    configs.update(config.id, configs.parse(data(repository_id=disk)))
    assert configs.get(config.id).destinations[0].repository_id == disk
    with pytest.raises(Invalid):
        configs.update(config.id, configs.parse(data(repository_id="none")))


def test_what_is_offered_can_be_taken_once_paths_are_named(context: Flask) -> None:
    offered = configs.offered()
    assert configs.parse(offered | {"source": {"paths": ["/etc"]}}).cron == "0 3 * * *"
    assert (offered["name"], offered["timezone"]) == ("Daily Files", "Europe/Berlin")


def tree(tmp_path: Path) -> str:
    """Make a small tree; return its path."""
    root = tmp_path / "tree"
    for name, size in (("a/big.bin", 5000), ("a/skip.tmp", 70), ("b/c/small.txt", 10), ("cache/x", 900)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * size)
    return str(root)


def test_a_preview_counts_what_a_backup_would_read(context: Flask, tmp_path: Path) -> None:
    root = tree(tmp_path)
    source = {"paths": [root], "exclude": ["*.tmp", f"{root}/cache"]}
    found = configs.preview(configs.parse(data(source=source)))
    assert (found.files, found.bytes, found.complete, found.problems) == (2, 5010, True, [])
    assert found.biggest[0].path == os.fsencode(f"{root}/a")
    assert {rule.rule for rule in found.left_out} >= {"*.tmp", f"{root}/cache"}


def test_a_preview_of_what_is_missing_names_the_path(context: Flask, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        configs.preview(configs.parse(data(source={"paths": [str(tmp_path / "gone")]})))
    assert str(tmp_path / "gone") in caught.value.fields["paths"]


def test_the_own_folders_are_never_read_and_that_is_said(disk: str, tmp_path: Path) -> None:
    tree(tmp_path)
    found = configs.preview(configs.parse(data(source={"paths": [str(tmp_path)]})))
    assert found.files == 4
    said = {rule.rule: rule.examples for rule in found.left_out}
    assert said["Holdfast's own data folder"] == [os.fsencode(tmp_path / "data")]
    assert said["a storage of Holdfast"] == [os.fsencode(tmp_path / "disk")]


def test_a_path_that_is_never_backed_up_is_refused(disk: str, tmp_path: Path) -> None:
    config = configs.create(configs.parse(data()))
    os.symlink(tmp_path / "data", tmp_path / "alias")
    for place, why in [
        ("data", "is Holdfast's own data folder"),
        ("data/below", "lies in Holdfast's own data folder"),
        ("alias/below", "lies in Holdfast's own data folder"),
        ("disk/repository", "lies in a storage of Holdfast"),
    ]:
        given = configs.parse(data(name="Own", source={"paths": ["/etc", str(tmp_path / place)]}))
        with pytest.raises(Invalid) as created:
            configs.create(given)
        with pytest.raises(Invalid) as updated:
            configs.update(config.id, given)
        for caught in (created, updated):
            assert f"{tmp_path / place} {why}" in caught.value.fields["paths"]
    assert configs.get(config.id).source["paths"] == ["/etc"]


def test_a_path_that_is_a_link_is_refused_with_what_it_leads_to(disk: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "below").mkdir()
    with pytest.raises(Invalid) as caught:
        configs.create(configs.parse(data(source={"paths": [str(tmp_path / "link")]})))
    assert f"{tmp_path}/link is a link" in caught.value.fields["paths"]
    assert caught.value.fields["paths"].endswith(f"{tmp_path}/real")
    configs.create(configs.parse(data(source={"paths": [str(tmp_path / "link" / "below")]})))


def test_the_kernels_folders_are_left_out_unless_they_are_named(context: Flask) -> None:
    places = [place for place, _ in source_files.always_excluded(["/", "/run/service"])]
    assert {"/proc", "/sys", "/dev"} <= set(places)
    assert "/run" not in places
    assert "/run" in [place for place, _ in source_files.always_excluded(["/", "/running"])]
