"""Settings: every variable's default, what it takes, and the sentence for what it does not take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.settings import PROJECT_DIR, SettingsError, load

SECRET = "0123456789abcdef0123456789abcdef"


def test_without_variables_the_defaults_hold() -> None:
    settings = load({})
    assert settings.data_dir == os.path.join(PROJECT_DIR, "data")
    assert settings.backup_dir == os.path.join(PROJECT_DIR, "backups")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.database_url == f"sqlite:///{settings.data_dir}/holdfast.db"
    assert settings.encryption
    assert settings.secret_key is settings.encryption_key is settings.retention_days is None
    assert settings.backup_paths == settings.not_used == ()


def test_empty_variables_count_as_not_set() -> None:
    names = [
        "PORT",
        "HOST",
        "BACKUP_DIR",
        "BACKUP_ENCRYPTION_KEY",
        "BACKUP_COMPRESSION",
        "BACKUP_PATHS",
        "HUEY_URL",
    ]
    assert load(dict.fromkeys(names, "")) == load({})


def test_relative_paths_are_taken_from_the_project_wherever_we_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(
        {"BACKUP_DIR": "x/../y", "BACKUP_PATHS": "/etc:docs/: :", "DATABASE_URL": "sqlite:///a.db"}
    )
    assert settings.backup_dir == os.path.join(PROJECT_DIR, "y")
    assert settings.backup_paths == ("/etc", os.path.join(PROJECT_DIR, "docs"))
    assert settings.database_url == f"sqlite:///{PROJECT_DIR}/a.db"


@pytest.mark.parametrize(
    ("value", "mode"), [("true", "auto"), ("FALSE", "off"), ("off", "off"), ("auto", "auto"), ("max", "max")]
)
def test_compression_is_true_false_or_a_mode(value: str, mode: str) -> None:
    assert load({"BACKUP_COMPRESSION": value}).compression == mode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"), ("PORT", "65536"), ("PORT", "http"), ("PORT", "-1"), ("PORT", "²"),
        ("HOST", "http://x"), ("HOST", "a b"),
        ("BACKUP_COMPRESSION", "zip"), ("BACKUP_ENCRYPTION", "maybe"),
        ("BACKUP_RETENTION_DAYS", "0"), ("BACKUP_RETENTION_DAYS", "1.5"), ("BACKUP_MAX_BACKUPS", "many"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} is {value!r}: it must be ")
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hush-hush@host/db"),
        ("DATABASE_URL", "sqlite://hush-hush"),
        ("HOLDFAST_SECRET_KEY", "hush-hush"),
    ],
)
def test_a_bad_secret_is_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    assert name in str(caught.value)
    assert "hush" not in str(caught.value)


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    settings = load({"HOLDFAST_SECRET_KEY_FILE": str(tmp_path / "key"), "BACKUP_ENCRYPTION_KEY": " a key "})
    assert settings.secret_key == SECRET
    assert settings.encryption_key == " a key "


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load({"BACKUP_ENCRYPTION_KEY": SECRET, "BACKUP_ENCRYPTION_KEY_FILE": "/x"})


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_file_that_gives_nothing_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match="BACKUP_ENCRYPTION_KEY_FILE"):
        load({"BACKUP_ENCRYPTION_KEY_FILE": str(tmp_path / "key")})


def test_secrets_are_not_in_the_repr() -> None:
    given = {
        "HOLDFAST_SECRET_KEY": SECRET,
        "BACKUP_ENCRYPTION_KEY": "hush-hush-1",
        "DATABASE_URL": "postgresql+psycopg://user:hush-hush-2@host/db",
        "HUEY_URL": "redis://:hush-hush-3@host",
    }
    shown = repr(load(given))
    assert SECRET not in shown
    assert "hush-hush" not in shown


def test_variables_of_later_versions_are_noted_by_name() -> None:
    assert load({"HUEY_URL": "redis://:hush-hush@host"}).not_used == ("HUEY_URL",)


def test_the_url_of_the_database_may_stand_in_a_file_and_shows_nowhere(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:hush-hush@h/d\n")
    settings = load({"SUPABASE_DB_URL_FILE": str(tmp_path / "url"), "BACKUP_CONFIG_PATHS": "/etc:/opt/a"})
    assert settings.supabase_db_url == "postgresql://u:hush-hush@h/d"
    assert settings.config_paths == ("/etc", "/opt/a")
    assert "hush-hush" not in repr(settings)


def test_the_keys_of_the_bucket_may_stand_in_files_and_show_nowhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush-hush\n")
    given = {"BACKUP_S3_BUCKET": "b", "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "key"), "AWS_REGION": "x"}
    settings = load(given)
    assert (settings.aws_secret_key, settings.s3_prefix) == ("hush-hush", "backups/")
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize(
    ("zone", "found"), [("Europe/Berlin", "Europe/Berlin"), (":America/New_York", "America/New_York")]
)
def test_the_machines_zone_may_be_set(zone: str, found: str) -> None:
    assert load({"TZ": zone}).timezone == found


def test_a_zone_that_is_none_gives_way_to_one_that_is() -> None:
    assert load({"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}).timezone == load({}).timezone
    assert load({"TZ": "../../etc/passwd"}).timezone == load({}).timezone
