"""The settings: the environment, read once, typed, and refused with one sentence where it is wrong."""

from __future__ import annotations

import os
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from core import words

PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHORTEST_SECRET = 32
# Named in product.md, arriving with later versions: accepted, not used, and said so.
LATER = ("HUEY_URL",)

Compression = Literal["off", "auto", "max"]

_YES = ("true", "1", "yes", "on")
_NO = ("false", "0", "no", "off")


class SettingsError(Exception):
    """A setting that cannot be used: one sentence with the variable, its value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """All that the environment says. Paths are absolute. None: not given, the product's default holds."""

    data_dir: str
    backup_dir: str
    backup_dir_given: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    proxies: int = 0  # reverse proxies before us, whose X-Forwarded-* headers count
    database_url: str = field(default="", repr=False)
    huey_url: str = field(default="", repr=False)
    secret_key: str | None = field(default=None, repr=False)
    encryption: bool = True
    encryption_key: str | None = field(default=None, repr=False)
    retention_days: int | None = None
    max_backups: int | None = None
    compression: Compression | None = None
    backup_paths: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()
    supabase_db_url: str | None = field(default=None, repr=False)
    s3_bucket: str = ""
    s3_endpoint: str = ""
    s3_prefix: str = "backups/"
    aws_region: str = ""
    aws_access_key: str | None = field(default=None, repr=False)
    aws_secret_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    timezone: str = "UTC"
    not_used: tuple[str, ...] = ()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ` (the process's if None). Raises SettingsError."""
    given = os.environ if environ is None else environ
    data_dir = _path(given, "HOLDFAST_DATA_DIR", "./data")
    return Settings(
        data_dir=data_dir,
        backup_dir=_path(given, "BACKUP_DIR", "./backups"),
        backup_dir_given=bool(_text(given, "BACKUP_DIR")),
        host=_host(given),
        port=_number(given, "PORT", 1, 65535) or 8000,
        proxies=_number(given, "HOLDFAST_PROXIES", 0, 9) or 0,
        database_url=_database_url(given, data_dir),
        huey_url=_secret(given, "HUEY_URL") or "",
        secret_key=_long_enough(
            "HOLDFAST_SECRET_KEY", _secret(given, "HOLDFAST_SECRET_KEY"), SHORTEST_SECRET
        ),
        encryption=_flag(given, "BACKUP_ENCRYPTION", default=True),
        encryption_key=_secret(given, "BACKUP_ENCRYPTION_KEY"),
        retention_days=_number(given, "BACKUP_RETENTION_DAYS", 1, 36500),
        max_backups=_number(given, "BACKUP_MAX_BACKUPS", 1, 100000),
        compression=_compression(given),
        backup_paths=_paths(given, "BACKUP_PATHS"),
        config_paths=_paths(given, "BACKUP_CONFIG_PATHS"),
        supabase_db_url=_secret(given, "SUPABASE_DB_URL"),
        s3_bucket=(_secret(given, "BACKUP_S3_BUCKET") or "").strip(),
        s3_endpoint=(_secret(given, "BACKUP_S3_ENDPOINT") or "").strip(),
        s3_prefix=(_secret(given, "BACKUP_S3_PREFIX") or "backups/").strip(),
        aws_region=(_secret(given, "AWS_REGION") or "").strip(),
        aws_access_key=_secret(given, "AWS_ACCESS_KEY_ID"),
        aws_secret_key=_secret(given, "AWS_SECRET_ACCESS_KEY"),
        aws_session_token=_secret(given, "AWS_SESSION_TOKEN"),
        timezone=_timezone(given),
        not_used=tuple(name for name in LATER if given.get(name) or given.get(f"{name}_FILE")),
    )


def variables(names: Iterable[str]) -> dict[str, str | None]:
    """Return variables of this process for a backup of its environment; None for one that is not set."""
    return {name: os.environ.get(name) for name in names}


def _text(given: Mapping[str, str], name: str) -> str:
    """Return the value without surrounding blanks; an empty variable counts as not set."""
    return given.get(name, "").strip()


def _path(given: Mapping[str, str], name: str, default: str) -> str:
    value = _text(given, name) or default
    if "\0" in value:
        raise SettingsError(f"{name} must be a path.")
    return os.path.normpath(os.path.join(PROJECT_DIR, os.path.expanduser(value)))


def _paths(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = [part.strip() for part in _text(given, name).split(":")]
    return tuple(_path({name: part}, name, part) for part in parts if part)


def _number(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    value = _text(given, name)
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise SettingsError(f"{name} is {value!r}: it must be a whole number from {least} to {most}.")
    return int(value)


def _flag(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = _text(given, name).lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    if value:
        raise SettingsError(f"{name} is {value!r}: it must be true or false.")
    return default


def _compression(given: Mapping[str, str]) -> Compression | None:
    value = _text(given, "BACKUP_COMPRESSION").lower()
    modes: dict[str, Compression | None] = {
        "": None, "true": "auto", "auto": "auto", "false": "off", "off": "off", "max": "max",
    }  # fmt: skip
    if value not in modes:
        raise SettingsError(f"BACKUP_COMPRESSION is {value!r}: it must be true, false, off, auto or max.")
    return modes[value]


def _host(given: Mapping[str, str]) -> str:
    value = _text(given, "HOST") or "127.0.0.1"
    if any(character.isspace() or character in "/@" for character in value):
        raise SettingsError(f"HOST is {value!r}: it must be an address or a host name, such as 127.0.0.1.")
    return value


def _secret(given: Mapping[str, str], name: str) -> str | None:
    """Return NAME, or what the file named by NAME_FILE holds (its last line end taken off)."""
    value, path = given.get(name, ""), _text(given, f"{name}_FILE")
    if value and path:
        raise SettingsError(f"{name} and {name}_FILE are both set: set only one of them.")
    if path:
        value = _read_secret(f"{name}_FILE", path)
    return value or None


def _read_secret(name: str, path: str) -> str:
    try:
        with open(os.path.join(PROJECT_DIR, path), encoding="utf-8") as file:
            value = file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{name} names {path!r}, which cannot be read: {reason}.") from error
    if not value:
        raise SettingsError(f"{name} names {path!r}, which is empty.")
    return value


def _long_enough(name: str, value: str | None, least: int) -> str | None:
    if value is not None and len(value) < least:
        length = words.count(len(value), "character")
        raise SettingsError(f"{name} has {length}: it must have at least {least}.")
    return value


def _database_url(given: Mapping[str, str], data_dir: str) -> str:
    value = _secret(given, "DATABASE_URL")
    if value is None:
        return "sqlite:///" + os.path.join(data_dir, "holdfast.db")
    scheme = urlsplit(value).scheme
    if scheme == "sqlite" and value.startswith("sqlite:///"):
        return "sqlite:///" + os.path.join(PROJECT_DIR, value.removeprefix("sqlite:///"))
    if scheme != "postgresql+psycopg":
        raise SettingsError(
            f"DATABASE_URL starts with {scheme!r}: it must be sqlite:///<path> or "
            "postgresql+psycopg://<user>:<password>@<host>/<database>."
        )
    return value


def _timezone(given: Mapping[str, str]) -> str:
    """Return the machine's zone: TZ, /etc/timezone, where /etc/localtime points, else UTC."""
    for name in (_text(given, "TZ").removeprefix(":"), _zone_file(), _zone_link()):
        if name and is_zone(name):
            return "UTC" if name == "Etc/UTC" else name
    return "UTC"


def is_zone(name: str) -> bool:
    """Tell whether `name` is a time zone of this machine's zone database."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _zone_file() -> str:
    try:
        with open("/etc/timezone", encoding="ascii") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""  # many systems have none


def _zone_link() -> str:
    _, found, name = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return name if found else ""
