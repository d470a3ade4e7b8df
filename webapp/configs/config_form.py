"""Between the form of a config and core's one schema: schedule presets, lines of text, ticks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.configs import configs
from core.errors import Invalid
from webapp.configs import destination_form, timing_form
from webapp.forms import Form

SCHEDULES = (
    ("hourly", "Every hour", ""),
    ("daily", "Every day", ""),
    ("weekly", "Every week", ""),
    ("monthly", "Every month", ""),
    ("custom", "Cron line", ""),
    ("manual", "Only by hand", ""),
)
WEEKDAYS = tuple(enumerate(("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")))
COMPRESSIONS = (
    ("auto", "Automatic: fast, and skips what does not shrink"),
    ("max", "Smallest: slower"),
    ("off", "None"),
)

TYPES = (("files", "Files"), ("database", "Database"), ("config", "Configuration"))
SSL_MODES = (
    ("prefer", "If the server has it"),
    ("require", "Always, without verifying"),
    ("verify-ca", "Always, verify the certificate"),
    ("verify-full", "Always, verify certificate and name"),
    ("disable", "Never"),
)
PARALLEL_FIELDS = ("parallel_jobs", "work_folder")
# What a preview needs: a message about any other field does not keep it back.
_TREE_FIELDS = (
    "paths", "exclude", "iexclude", "exclude_if_present", "exclude_caches", "one_file_system",
    "exclude_larger_than",
)  # fmt: skip
SOURCE_FIELDS = {
    "files": (*_TREE_FIELDS, "host_id"),
    "config": (*_TREE_FIELDS, "host_id", "variables", "units", "packages", "services"),
    "database": ("host_id", "url", "host", "port", "user", "password", "database", "ssl_mode",
                 "ssl_root_cert", "ssl_cert", "ssl_key", "which", "databases", "exclude", "no_password",
                 *PARALLEL_FIELDS),
}  # fmt: skip

_TLS = ("ssl_mode", "ssl_root_cert", "ssl_cert", "ssl_key")
_LINES = ("paths", "exclude", "iexclude", "exclude_if_present")
_TICKS = ("exclude_caches", "one_file_system")
_CONFIG_LINES = ("variables", "units")
_CONFIG_TICKS = ("packages", "services")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z")


def from_input(data: Mapping[str, Any]) -> Form:
    """Return a form filled with a config as core describes it (`configs.offered`, or an input dumped)."""
    source = data.get("source", {})
    values: dict[str, Any] = {name: data.get(name, "") for name in ("name", "timezone", "compression")}
    values["type"] = data.get("type", "files")
    if values["type"] == "database":
        values |= _database_values(source)
    values |= {name: "\n".join(source.get(name, ())) for name in (*_LINES, *_CONFIG_LINES)}
    values |= {name: "yes" if source.get(name) else "" for name in _TICKS}
    values |= {name: "yes" if source.get(name, True) else "" for name in _CONFIG_TICKS}
    values["host_id"] = source.get("host_id") or ""
    values["exclude_larger_than"] = source.get("exclude_larger_than", "")
    values["full_read_days"] = data.get("full_read_days", 7)
    values |= timing_form.values_of(data) | destination_form.values_of(data)
    return Form(values | _schedule_values(data.get("cron", "")))


def to_input(form: Form, *, enabled: bool = True) -> configs.ConfigInput:
    """Return what the form asks for, checked by core's schema. Raises Invalid with a sentence by field."""
    return configs.parse(
        {
            "name": form.value("name"),
            "type": form.value("type") or "files",
            "enabled": enabled,
            "source": _source(form),
            "cron": cron_of(form),
            "timezone": form.value("timezone") or "UTC",
            "destinations": destination_form.to_input(form),
            "compression": form.value("compression") or "auto",
            "full_read_days": form.value("full_read_days") or 7,
            **timing_form.to_input(form),
        }
    )


def cron_of(form: Form) -> str:
    """Return the cron line that the schedule part of the form means. Raises Invalid."""
    kind = form.value("schedule")
    if kind == "manual":
        return ""
    if kind == "custom":
        return _custom(form)
    if kind == "hourly":
        return f"{_number(form, 'minute', 0, 59)} * * * *"
    minute, hour = _clock(form)
    day = _number(form, "monthday", 1, 31) if kind == "monthly" else "*"
    weekday = _number(form, "weekday", 0, 6) if kind == "weekly" else "*"
    return f"{minute} {hour} {day} * {weekday}"


def _database_values(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connection's fields; never its password."""
    values = {"port": 5432, "user": "postgres", "database": "postgres", "ssl_mode": "prefer", "which": "all"}
    names = (*values, "host", *_TLS)
    values |= {name: source[name] for name in (*names, *PARALLEL_FIELDS) if name in source}
    return values | {"databases": "\n".join(source.get("databases", ()))}


def _database_source(form: Form) -> dict[str, Any]:
    """Return the connection; no password where a stored one stays."""
    names = ("host_id", "url", "host", "port", "user", "database", "which", *_TLS)
    source: dict[str, Any] = {name: form.value(name).strip() for name in names if form.value(name).strip()}
    source |= {name: form.lines(name) for name in ("databases", "exclude")}
    source |= {name: form.value(name).strip() for name in PARALLEL_FIELDS}
    stays = form.value("config_id") and not form.value("no_password") and not form.value("password")
    return source if stays else {**source, "password": form.value("password")}


def _source(form: Form) -> dict[str, Any]:
    if form.value("type") == "database":
        return _database_source(form)
    source: dict[str, Any] = {name: form.lines(name) for name in _LINES}
    source |= {name: bool(form.value(name)) for name in _TICKS}
    source["host_id"] = form.value("host_id")
    if form.value("type") == "config":
        source |= {name: form.lines(name) for name in _CONFIG_LINES}
        source |= {name: bool(form.value(name)) for name in _CONFIG_TICKS}
    return source | {"exclude_larger_than": form.value("exclude_larger_than")}


def _custom(form: Form) -> str:
    if not form.value("cron").strip():
        raise Invalid({"cron": "Write a cron line, such as 0 2 * * *, or choose another schedule."})
    return form.value("cron")


def _clock(form: Form) -> tuple[int, int]:
    """Return minute and hour."""
    found = _TIME.match(form.value("time").strip())
    if found is None:
        raise Invalid({"time": "Give a time as 02:30."})
    return int(found[2]), int(found[1])


def _number(form: Form, name: str, least: int, most: int) -> int:
    text = form.value(name).strip()
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise Invalid({name: f"Give a number from {least} to {most}."})
    return int(text)


def _schedule_values(cron: str) -> dict[str, Any]:
    """Return the preset that a cron line is, and the defaults of the fields that are not shown."""
    values: dict[str, Any] = {"time": "03:00", "minute": 0, "weekday": 1, "monthday": 1, "cron": cron}
    if not cron:
        return values | {"schedule": "manual"}
    if found := re.fullmatch(r"(\d+) \* \* \* \*", cron):
        return values | {"schedule": "hourly", "minute": found[1]}
    found = re.fullmatch(r"(\d+) (\d+) (\*|\d+) \* (\*|[0-6])", cron)
    if found is None or (found[3] != "*" and found[4] != "*"):
        return values | {"schedule": "custom"}
    values["time"] = f"{int(found[2]):02d}:{int(found[1]):02d}"
    if found[3] != "*":
        return values | {"schedule": "monthly", "monthday": found[3]}
    if found[4] != "*":
        return values | {"schedule": "weekly", "weekday": found[4]}
    return values | {"schedule": "daily"}
