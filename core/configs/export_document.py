"""Configs, storages, hosts and channels as one document of plain data, without secrets."""

from __future__ import annotations

from typing import Any

from core import secrets
from core.configs import configs
from core.hosts import hosts
from core.messaging import channels
from core.messaging.channel_inputs import EmailTarget
from core.models import Channel, Config, Host, Storage
from core.storages import storage_inputs, storages

VERSION = 1
_NOT_OF_A_CONFIG = {"repository_id"}
_HOST_FIELDS = ("name", "address", "port", "user", "sudo", "parallel_jobs", "compression")
_CHANNEL_FIELDS = ("name", "kind", "severity", "repeat_hours", "tell_resolved", "enabled")


def document() -> dict[str, Any]:
    """Return everything, as plain data; no secret is in it."""
    return {
        "holdfast": VERSION,
        "storages": [_storage(row) for row in storages.list_all()],
        "hosts": [_host(row) for row in hosts.list_all()],
        "channels": [channel(row) for row in channels.list_all()],
        "configs": [config(row) for row in configs.list_all()],
    }


def named_by(kind: str) -> str:
    """Return the field that names a source's host: a database's own `host` is where its server is."""
    return "through" if kind == "database" else "host"


def config(row: Config) -> dict[str, Any]:
    """Return a config as plain data: storages and its host by name, and no password."""
    found = configs.to_input(row).model_dump(mode="json", exclude=_NOT_OF_A_CONFIG)
    host_id = found["source"].pop("host_id", None)
    if host_id:
        found["source"][named_by(row.type)] = hosts.name_of(host_id)
    del found["retention"]  # the first destination has it
    for place, each in enumerate(row.destinations):
        listed = found["destinations"][place]
        del listed["repository_id"]
        found["destinations"][place] = {"storage": each.repository.storage.name, **listed}
    return found


def channel(row: Channel) -> dict[str, Any]:
    """Return a channel as plain data: its configs by name, a mail server's address, and no address that may
    itself be a secret."""
    found = {name: getattr(row, name) for name in _CHANNEL_FIELDS}
    names = {each.id: each.name for each in configs.list_all()}
    found["configs"] = [names[each] for each in row.config_ids if each in names]
    if row.config_ids and not found["configs"]:
        found["enabled"] = False  # all of its configs are gone: without any it would be told of every other
    return found | ({"target": _mail(row)} if row.kind == "email" else {})


def _mail(row: Channel) -> dict[str, Any]:
    try:
        target = channels.target_of(row)
    except secrets.SealBroken:
        return {}
    return target.model_dump(exclude={"password"}) if isinstance(target, EmailTarget) else {}


def _storage(row: Storage) -> dict[str, Any]:
    return {name: value for name, value in storage_inputs.to_form(row).items() if value not in ("", None)}


def _host(row: Host) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _HOST_FIELDS}
    return found | ({"jump": row.jump.name} if row.jump is not None else {})
