"""BACKUP_PATHS and its kin: checked before they are stored, corrected until they count, told of after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import app_state, setup
from core.configs import config_source, configs
from core.errors import Refused
from core.settings import PROJECT_DIR, load
from core.storages import storages
from storage_adapters.s3 import S3Settings
from tests.core.making import back_up, make_tree

GIVEN = "my own long password"

Begin = Callable[..., list[str]]


@pytest.fixture
def begin(context: Flask, environ: dict[str, str]) -> Begin:
    """Start with a changed environment, as a server or a command does; return what it says."""

    def start(**more: str) -> list[str]:
        app_state.prepare(load(environ | {"BACKUP_ENCRYPTION_KEY": GIVEN} | more))
        return setup.apply_environment(app_state.settings())

    return start


def paths() -> list[str]:
    """Return what the default config backs up."""
    (config,) = configs.list_all()
    return list(config.source["paths"])


def test_paths_that_do_not_exist_are_refused_and_nothing_is_saved(begin: Begin, tmp_path: Path) -> None:
    for wrong in ("/no/such/folder", "relative/folder"):
        with pytest.raises(Refused, match=r"BACKUP_PATHS names /.*, which does not exist"):
            begin(BACKUP_PATHS=f"{make_tree(tmp_path / 'tree')}:{wrong}")
        assert configs.list_all() == []
        assert storages.list_all() == []
    assert not (tmp_path / "backups").exists()
    assert begin(BACKUP_PATHS=str(tmp_path / "tree")) == []
    assert paths() == [str(tmp_path / "tree")]


def test_relative_paths_are_taken_from_the_project(begin: Begin) -> None:
    begin(BACKUP_PATHS="templates")
    assert paths() == [f"{PROJECT_DIR}/templates"]


def test_wrong_paths_are_corrected_until_there_is_a_point(begin: Begin, tmp_path: Path) -> None:
    typo, meant, later = (str(make_tree(tmp_path / name)) for name in ("typo", "meant", "later"))
    begin(BACKUP_PATHS=typo)
    assert begin(BACKUP_PATHS=meant) == []
    assert paths() == [meant]
    assert back_up(configs.list_all()[0].id).status == "completed"
    (note,) = begin(BACKUP_PATHS=later)
    assert note.startswith(f"BACKUP_PATHS differs from the config Daily Files, which backs up {meant};")
    assert paths() == [meant]
    assert begin() == []


def test_what_was_changed_on_the_page_is_not_undone(begin: Begin, tmp_path: Path) -> None:
    given, edited = (str(make_tree(tmp_path / name)) for name in ("given", "edited"))
    begin(BACKUP_PATHS=given)
    (config,) = configs.list_all()
    data = configs.to_input(config)
    source = data.source.model_copy(update={"paths": [edited]})
    configs.update(config.id, data.model_copy(update={"source": source}))
    (note,) = begin(BACKUP_PATHS=given)
    assert edited in note
    assert paths() == [edited]


def test_all_that_differs_is_told_and_not_applied(begin: Begin, tmp_path: Path) -> None:
    given = {"BACKUP_PATHS": str(make_tree(tmp_path / "tree")), "BACKUP_RETENTION_DAYS": "9"}
    assert begin(**given) == []
    told = begin(
        **given | {"BACKUP_RETENTION_DAYS": "1", "BACKUP_MAX_BACKUPS": "3", "BACKUP_COMPRESSION": "max"},
        BACKUP_DIR=str(tmp_path / "elsewhere"),
    )
    assert [note.split()[0] for note in told] == [
        "BACKUP_DIR", "BACKUP_RETENTION_DAYS", "BACKUP_MAX_BACKUPS", "BACKUP_COMPRESSION",
    ]  # fmt: skip
    assert "which keeps 9 days; the config counts" in told[1]
    assert "sets no limit in points" in told[2]
    assert configs.list_all()[0].retention == {"days": 9, "max_backups": None}


def s3_variables(settings: S3Settings) -> dict[str, str]:
    """Return the variables that name a bucket of the tests."""
    return {
        "BACKUP_S3_BUCKET": settings.bucket,
        "BACKUP_S3_ENDPOINT": settings.endpoint,
        "BACKUP_S3_PREFIX": settings.prefix,
        "AWS_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.access_key,
        "AWS_SECRET_ACCESS_KEY": settings.secret_key,
    }


def test_a_bucket_becomes_the_second_destination_at_first_start(
    begin: Begin, tmp_path: Path, s3_settings: S3Settings
) -> None:
    given = {"BACKUP_PATHS": str(make_tree(tmp_path / "tree")), **s3_variables(s3_settings)}
    assert begin(BACKUP_RETENTION_DAYS="30", **given) == []
    assert begin(BACKUP_RETENTION_DAYS="30", **given) == []
    disk, bucket = storages.list_all()
    assert (disk.provider, bucket.provider, bucket.offsite) == ("local", "s3", True)
    (config,) = configs.list_all()
    places = [(row.repository.storage.name, row.retention["days"]) for row in config.destinations]
    assert places == [("Local disk", 30), (bucket.name, 30)]
    (note,) = begin(BACKUP_RETENTION_DAYS="30", **given | {"BACKUP_S3_PREFIX": "elsewhere"})
    assert "the storage counts" in note
    assert s3_settings.secret_key not in note


def test_a_bad_bucket_stops_the_start_with_a_sentence(
    begin: Begin, tmp_path: Path, s3_settings: S3Settings
) -> None:
    good = s3_variables(s3_settings)
    for name, value in (
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("BACKUP_S3_ENDPOINT", "ftp://x"),
        ("BACKUP_S3_BUCKET", "a/b"),
        ("BACKUP_S3_PREFIX", "../up"),
    ):
        with pytest.raises(Refused, match=f"{name} cannot be used") as caught:
            begin(**good | {name: value})
        assert storages.list_all() == []
        assert s3_settings.secret_key not in str(caught.value)
    with pytest.raises(Refused, match="BACKUP_S3_BUCKET cannot become the second storage"):
        begin(**good | {"BACKUP_S3_BUCKET": "no-such-bucket"})
    assert begin(**good) == []
    assert len(storages.list_all()) == 2


def test_a_bucket_that_comes_later_is_not_applied_and_that_is_said(
    begin: Begin, tmp_path: Path, s3_settings: S3Settings
) -> None:
    paths = str(make_tree(tmp_path / "tree"))
    begin(BACKUP_PATHS=paths)
    (note,) = begin(BACKUP_PATHS=paths, **s3_variables(s3_settings))
    assert "came after first start" in note
    assert len(storages.list_all()) == 1


def test_after_first_start_the_variables_of_the_bucket_may_go_or_be_wrong(
    begin: Begin, tmp_path: Path, s3_settings: S3Settings
) -> None:
    """The storage has them now: nothing that says the notes (each command, the settings page) may fail."""
    given = {"BACKUP_PATHS": str(make_tree(tmp_path / "tree")), **s3_variables(s3_settings)}
    assert begin(**given) == []
    assert begin(**given | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}) == []
    (note,) = begin(**given | {"BACKUP_S3_ENDPOINT": "ftp://x"})
    assert note.startswith("BACKUP_S3_ENDPOINT cannot be used")
    assert note.endswith("was made of it earlier, and counts.")


def test_each_source_that_is_given_makes_its_default_config(begin: Begin, tmp_path: Path) -> None:
    tree, etc = make_tree(tmp_path / "tree"), make_tree(tmp_path / "etc")
    url = "postgresql://backup:hush-hush@db.example:6543/shop?sslmode=require"
    given = {
        "BACKUP_PATHS": str(tree),
        "BACKUP_CONFIG_PATHS": str(etc),
        "SUPABASE_DB_URL": url,
    }
    assert begin(**given) == []
    made = {config.name: config for config in configs.list_all()}
    facts = {
        name: (each.type, each.enabled, each.cron, each.retention["days"]) for name, each in made.items()
    }
    assert facts == {
        "Daily Database": ("database", True, "0 2 * * *", 30),
        "Daily Files": ("files", True, "0 3 * * *", 14),
        "Weekly Configuration": ("config", True, "0 4 * * 0", 90),
    }
    database = made["Daily Database"]
    assert (database.source["host"], database.source["databases"]) == ("db.example", ["shop"])
    assert config_source.password_of(database) == "hush-hush"
    assert made["Weekly Configuration"].source["paths"] == [str(etc)]
    assert begin(**given) == []
    assert len(configs.list_all()) == 3


def test_a_url_that_cannot_be_is_refused_without_its_password(begin: Begin) -> None:
    with pytest.raises(Refused, match="SUPABASE_DB_URL cannot become a config") as caught:
        begin(SUPABASE_DB_URL="postgresql://u:hush-hush@h:port/d")
    assert (
        "hush-hush" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__cause__.__cause__!r}"
    )
    with pytest.raises(Refused, match="BACKUP_CONFIG_PATHS names /no/such"):
        begin(BACKUP_CONFIG_PATHS="/no/such")
    assert configs.list_all() == []
    assert storages.list_all() == []


def test_what_comes_after_first_start_is_said_and_not_used(begin: Begin, tmp_path: Path) -> None:
    tree = str(make_tree(tmp_path / "tree"))
    begin(BACKUP_PATHS=tree)
    url = "postgresql://u:hush-hush@h/d"
    one, two = begin(BACKUP_PATHS=tree, SUPABASE_DB_URL=url, BACKUP_CONFIG_PATHS="/etc")
    assert "no config backs up" in one
    assert two.startswith("BACKUP_CONFIG_PATHS differs")
    assert len(configs.list_all()) == 1


def test_a_changed_password_in_the_url_is_said(begin: Begin) -> None:
    begin(SUPABASE_DB_URL="postgresql://u:hush-hush@h/d")
    (note,) = begin(SUPABASE_DB_URL="postgresql://u:another@h/d")
    assert begin(SUPABASE_DB_URL="nonsense")[0].startswith("SUPABASE_DB_URL is not used")
    assert "another password than the config Daily Database" in note
    assert "hush" not in note
