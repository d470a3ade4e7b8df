"""Configs, storages, hosts and channels as one document without secrets, to be kept, or taken over elsewhere.

What needs a secret cannot be made from it: the import says what is left for a person to do. Things are known
by their names; what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core import inputs
from core.configs import configs
from core.configs.configs import ConfigInput
from core.errors import Invalid
from core.hosts import hosts
from core.hosts.host_inputs import HostInput
from core.messaging import channels
from core.models import Channel, Config, Host, Storage
from core.storages import storage_inputs, storage_setup, storages
from core.storages.storage_inputs import StorageInput

VERSION = 1
_SECTIONS = ("storages", "hosts", "channels", "configs")
_NOT_OF_A_CONFIG = {"repository_id"}
_HOST_FIELDS = ("name", "address", "port", "user", "sudo", "parallel_jobs")
What = Literal["make", "there", "left"]


@dataclass(frozen=True, slots=True)
class Step:
    """What an import does with one thing: make it; nothing, since it is there; or leave it to a person."""

    noun: str
    name: str
    what: What
    why: str = ""


@dataclass(slots=True)
class Plan:
    """All that an import would do, checked: nothing of it is done yet."""

    steps: list[Step]
    storages: list[StorageInput]
    hosts: list[tuple[HostInput, str]]  # with the name of the host to go through
    configs: list[tuple[ConfigInput, dict[str, Any]]]  # with the document it came from


def document() -> dict[str, Any]:
    """Return everything, as plain data; no secret is in it."""
    return {
        "holdfast": VERSION,
        "storages": [_storage(row) for row in storages.list_all()],
        "hosts": [_host(row) for row in hosts.list_all()],
        "channels": [_channel(row) for row in channels.list_all()],
        "configs": [config(row) for row in configs.list_all()],
    }


def config(row: Config) -> dict[str, Any]:
    """Return a config as plain data: storages and its host by name, and no password."""
    found = configs.to_input(row).model_dump(mode="json", exclude=_NOT_OF_A_CONFIG)
    host_id = found["source"].pop("host_id", None)
    if host_id:
        found["source"]["host"] = hosts.name_of(host_id)
    del found["retention"]  # the first destination has it
    for place, each in enumerate(row.destinations):
        listed = found["destinations"][place]
        del listed["repository_id"]
        found["destinations"][place] = {"storage": each.repository.storage.name, **listed}
    return found


def plan(data: Any) -> Plan:
    """Check a document whole. Raises Invalid that names each thing that cannot be taken."""
    if not isinstance(data, Mapping) or data.get("holdfast") != VERSION:
        raise Invalid({"file": f"This is no export of Holdfast, version {VERSION}."})
    problems: dict[str, str] = {}
    made = Plan([], [], [], [])
    for section in _SECTIONS:
        for number, each in enumerate(_listed(data, section)):
            name = str(each.get("name", "")) if isinstance(each, Mapping) else ""
            try:
                _PLANNERS[section](made, each if isinstance(each, Mapping) else {}, name)
            except Invalid as error:
                where = f"{section}.{number}" + (f" ({name})" if name else "")
                problems |= {f"{where}: {field}": text for field, text in error.fields.items()}
    problems |= _lost_jumps(made)
    if problems:
        raise Invalid(problems)
    return made


def apply(made: Plan) -> None:
    """Make what is to be made, in an order in which it can be. Raises what making it raises."""
    for storage in made.storages:
        storage_setup.create(storage)
    for host, jump in _jumps_first(made.hosts):
        known = host.model_copy(update={"jump_id": hosts.find(jump).id}) if jump else host
        hosts.create(known)
    repositories = {row.name: row.repositories[0].id for row in storages.list_all()}
    for _, given in made.configs:
        configs.create(configs.parse(_with_ids(given, repositories, _host_ids())))


def _jumps_first(found: Sequence[tuple[HostInput, str]]) -> list[tuple[HostInput, str]]:
    """Return the hosts in an order in which each comes after the one its way leads through.

    What comes after none, for its jump host is missing or the way is a circle, is left out.
    """
    known, ordered, waiting = set(_host_ids()), list[tuple[HostInput, str]](), list(found)
    while ready := [each for each in waiting if not each[1] or each[1] in known]:
        ordered += ready
        known |= {host.name for host, _ in ready}
        waiting = [each for each in waiting if each not in ready]
    return ordered


def _lost_jumps(made: Plan) -> dict[str, str]:
    reached = {host.name for host, _ in _jumps_first(made.hosts)}
    return {
        f"hosts ({host.name}): jump": f"There is no host {jump!r} to go through, or the way is a circle."
        for host, jump in made.hosts
        if host.name not in reached
    }


def _storage(row: Storage) -> dict[str, Any]:
    return {name: value for name, value in storage_inputs.to_form(row).items() if value not in ("", None)}


def _host(row: Host) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _HOST_FIELDS}
    return found | ({"jump": row.jump.name} if row.jump is not None else {})


def _channel(row: Channel) -> dict[str, Any]:
    return {"name": row.name, "kind": row.kind, "enabled": row.enabled}


def _listed(data: Mapping[str, Any], section: str) -> Iterable[Any]:
    found = data.get(section) or []
    if not isinstance(found, list):
        raise Invalid({section: "This is no list."})
    return found


def _plan_storage(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name in {row.name for row in storages.list_all()}:
        made.steps.append(Step("storage", name, "there"))
    elif given.get("provider") != "local":
        why = "its credentials are in no export: add it by hand, under this name, then import again"
        made.steps.append(Step("storage", name, "left", why))
    else:
        made.storages.append(storage_inputs.parse(given))
        made.steps.append(Step("storage", name, "make"))


def _plan_host(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name in _host_ids():
        made.steps.append(Step("host", name, "there"))
        return
    fields = {field: value for field, value in given.items() if field != "jump"}
    made.hosts.append((inputs.validate(HostInput, {**fields, "login": "made"}), str(given.get("jump", ""))))
    why = "with a key of its own, to be put there; then confirm the host's key"
    made.steps.append(Step("host", name, "make", why))


def _plan_channel(made: Plan, given: Mapping[str, Any], name: str) -> None:
    there = name in {row.name for row in channels.list_all()}
    why = "" if there else "where it sends to is a secret, and in no export: add it by hand"
    made.steps.append(Step("channel", name, "there" if there else "left", why))


def _plan_config(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name.lower() in {row.name.lower() for row in configs.list_all()}:
        made.steps.append(Step("config", name, "there"))
        return
    coming = {each.name for each in made.storages} | {row.name for row in storages.list_all()}
    names = {each: f"storage {each}" for each in coming}
    waiting = {host.name: "coming" for host, _ in made.hosts}
    missing = sorted({str(each.get("storage")) for each in _destinations(given)} - coming)
    if missing:
        why = f"it goes to {', '.join(missing)}, which is not there: add that first, then import again"
        made.steps.append(Step("config", name, "left", why))
        return
    parsed = configs.parse(_with_ids(given, names, {**waiting, **_host_ids()}))
    made.configs.append((parsed, dict(given)))
    why = "its password is in no export: edit it and type it" if given.get("type") == "database" else ""
    made.steps.append(Step("config", name, "make", why))


def _destinations(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = given.get("destinations")
    if not isinstance(found, list) or not found or not all(isinstance(each, Mapping) for each in found):
        raise Invalid({"destinations": "Name at least one, each with its storage."})
    return found


def _with_ids(
    given: Mapping[str, Any], repositories: Mapping[str, str], host_ids: Mapping[str, str]
) -> dict[str, Any]:
    """Return a config as core takes it: ids where the document has names."""
    source = dict(given["source"]) if isinstance(given.get("source"), Mapping) else {}
    host = source.pop("host", None) if given.get("type") != "database" else None
    if host is not None:
        if host not in host_ids:
            raise Invalid({"source.host": f"There is no host {host!r}, and none comes with it."})
        source["host_id"] = host_ids[host]
    listed = [
        {**{name: value for name, value in each.items() if name != "storage"},
         "repository_id": repositories[str(each.get("storage"))]}
        for each in _destinations(given)
    ]  # fmt: skip
    return {**given, "source": source, "destinations": listed}


def _host_ids() -> dict[str, str]:
    return {row.name: row.id for row in hosts.list_all()}


_PLANNERS = {
    "storages": _plan_storage, "hosts": _plan_host, "channels": _plan_channel, "configs": _plan_config,
}  # fmt: skip
