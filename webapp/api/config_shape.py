"""Configs as JSON: core's one schema with the names that clients know, and the short shape beside it.

The short shape names a storage by provider and place instead of listing destinations, and has `schedule` for
the cron line, `encryption`, and true or false for `compression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model

from core.configs import configs, states
from core.configs.config_facts import facts
from core.configs.config_source import AnySource
from core.configs.configs import ConfigInput
from core.configs.destinations import DestinationInput
from core.configs.states import Facts, State
from core.models import Config
from core.retention.retention_rules import RetentionRule
from core.storages.storage_inputs import write_size
from webapp.access import access
from webapp.api.answers import Out

# Fields of core that go by another name here.
_NOT_SENT = ("repository_id", "cron", "compression", "metadata")
# The fields of a storage's place that the short shape may name.
_PLACE = ("path", "bucket", "region", "prefix", "endpoint", "host", "port", "user")


class ShortPlace(BaseModel):
    """Where a storage is, by provider. Keys may be left out where the environment has them."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    path: str | None = None
    bucket: str | None = None
    region: str | None = None
    prefix: str | None = None
    endpoint: str | None = None
    max_size: str | int | None = Field(default=None, description='Its quota, such as "100GB".')
    access_key: str | None = Field(default=None, repr=False)
    secret_key: str | None = Field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    user: str | None = None


class ShortStorage(BaseModel):
    """The first destination's storage: `id` of one that is there, or where it is: found, or made."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    id: str | None = None
    name: str | None = None
    provider: Literal["local", "s3", "sftp", "gcs", "azure"] = "local"
    config: ShortPlace = Field(default_factory=ShortPlace)


class Encryption(BaseModel):
    """Whether it is encrypted. `key`: only the recovery key that is set up; it is never given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    enabled: bool = True
    key: str | None = Field(default=None, repr=False)


def _fields() -> dict[str, Any]:
    """Return core's fields: what is added there is sent and given without a word here."""
    return {
        name: (field.annotation, field)
        for name, field in ConfigInput.model_fields.items()
        if name not in _NOT_SENT
    }


ConfigRequest: type[BaseModel] = create_model(
    "ConfigRequest",
    __doc__="What a person decides about a config. `destinations` lists where its points go, the first is "
    "written by the job; `storage` and `retention` are short for the first one.",
    **_fields()
    | {
        "id": (str | None, Field(default=None, description="Chosen by the client, when it is made.")),
        "name": (str | None, None),
        "source": (
            AnySource | None,
            Field(default=None, description="Left out: what is usual for a new one, or as it is."),
        ),
        "schedule": (str | None, Field(default=None, description='A cron line; "": only by hand.')),
        "compression": (bool | Literal["auto", "off", "max"] | None, None),
        "destinations": (list[DestinationInput] | None, None),
        "retention": (RetentionRule | None, None),
        "metadata": (dict[str, JsonValue] | None, Field(default=None, description="A client's own data.")),
        "storage": (ShortStorage | None, None),
        "encryption": (Encryption | None, None),
    },
)


class PlaceOut(Out):
    """The first destination's storage, as the short shape has it."""

    id: str
    name: str
    provider: str
    config: dict[str, Any]


class EncryptionOut(Out):
    """Whether it is encrypted."""

    enabled: bool


class DestinationOut(Out):
    """One repository that the points go to."""

    repository_id: str
    tier: str
    when: str
    retention: RetentionRule


class _Facts(Out):
    """What is known about a config beside what was decided."""

    id: str
    schedule: str
    storage: PlaceOut | None
    encryption: EncryptionOut
    compression: bool | Literal["max"]
    destinations: list[DestinationOut]
    metadata: dict[str, Any]
    state: str
    state_reason: str
    last_good_at: datetime | None
    next_run_at: datetime | None
    good_points: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


ConfigOut: type[Out] = create_model(
    "ConfigOut",
    __base__=Out,
    __doc__="A config and its state. What can be changed may be sent back as it is.",
    **_fields() | {name: (field.annotation, ...) for name, field in _Facts.model_fields.items()},
)
# What answers hold beside what was decided: sent back, it decides nothing.
FACTS = frozenset({"state", "state_reason", "last_good_at", "next_run_at", "good_points", "created_at",
                   "updated_at", "deleted_at"})  # fmt: skip


def config(row: Config) -> dict[str, Any]:
    """Return a config as it is given: a ConfigOut."""
    return config_of(row, states.state(row), facts(row))


def many(rows: Sequence[Config]) -> list[dict[str, Any]]:
    """Return configs as they are given, asked for together."""
    looked = states.look(rows)
    found = states.facts_of(rows, newest=looked.newest)
    return [config_of(row, looked.states[row.id], found[row.id]) for row in rows]


def config_of(row: Config, state: State, found: Facts) -> dict[str, Any]:
    """Return a config whose state and numbers are known."""
    decided = configs.to_input(row).model_dump(mode="json", exclude=set(_NOT_SENT))
    known = {
        "id": row.id, "schedule": row.cron, "storage": _place(row), "metadata": row.extra or {},
        "encryption": {"enabled": all(each.repository.encrypted for each in row.destinations)},
        "compression": {"off": False, "auto": True}.get(row.compression, "max"),
        "state": state.word, "state_reason": state.reason,
        "last_good_at": found.last_good.taken_at if found.last_good else None,
        "next_run_at": found.next_run, "good_points": found.good_points,
        "created_at": row.created_at, "updated_at": row.updated_at, "deleted_at": row.deleted_at,
    }  # fmt: skip
    return decided | known


def _place(row: Config) -> dict[str, Any] | None:
    if not row.destinations:
        return None
    storage = row.destinations[0].repository.storage
    full = access.may("admin")  # as with storages: where they are is for admins
    place = {name: storage.settings[name] for name in _PLACE if full and storage.settings.get(name)}
    if storage.quota_bytes:
        place["max_size"] = write_size(storage.quota_bytes)
    return {"id": storage.id, "name": storage.name, "provider": storage.provider, "config": place}
