"""Take an export over: what is missing is made, what is there stays. Things are known by their names.

What needs a secret is made with the secrets given beside the document; without them it waits for a person
(core.configs.awaited), and so does what needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core import inputs
from core.configs import configs, transfer_secrets
from core.configs.configs import ConfigInput
from core.configs.export_document import VERSION as VERSION
from core.configs.export_document import config as config
from core.configs.export_document import document as document
from core.configs.export_document import named_by
from core.configs.source_database import DatabaseSource
from core.configs.transfer_secrets import Secrets
from core.errors import Invalid
from core.hosts import hosts
from core.hosts.host_inputs import HostInput
from core.messaging import channel_inputs, channels
from core.messaging.channel_inputs import ChannelInput, EmailTarget, Target
from core.storages import providers, storage_setup, storages
from core.storages.storage_inputs import StorageInput

_SECTIONS = ("storages", "hosts", "configs", "channels")  # in an order in which they can be made
_ANY_CASE = ("hosts", "configs")  # of these, names that differ by case only are one
# What stands for secrets that are not known, so that all the rest can be checked.
_UNKNOWN = {"access_key": "?", "secret_key": "?", "password": "?"}
_OF_URL = ("host", "port", "user", "database", "ssl_mode", "ssl_root_cert", "ssl_cert", "ssl_key")
What = Literal["make", "there", "waits"]


@dataclass(frozen=True, slots=True)
class Step:
    """What an import does with one thing: make it; nothing, since it is there; let it wait for a person.

    `place`: where the secrets given for it would go to; who looks at the plan judges whether it is theirs.
    """

    noun: str
    name: str
    what: What
    why: str = ""
    place: str = ""


@dataclass(slots=True)
class Plan:
    """All that an import would do, checked: nothing of it is done yet. `waiting`: noun, name, document."""

    secrets: Secrets
    steps: list[Step] = field(default_factory=list)
    storages: list[StorageInput] = field(default_factory=list)
    hosts: list[tuple[HostInput, str]] = field(default_factory=list)  # with the host to go through
    configs: list[tuple[ConfigInput, dict[str, Any]]] = field(default_factory=list)  # with its document
    channels: list[tuple[ChannelInput, Target]] = field(default_factory=list)  # `configs`: names
    waiting: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)  # noun and name of what `make` has made by now

    def wait(self, noun: str, name: str, given: Mapping[str, Any], why: str, place: str = "") -> None:
        """Let a thing wait for a person, without the secrets that somebody may have written to it."""
        self.waiting.append((noun, name, transfer_secrets.without(given)))
        self.steps.append(Step(noun, name, "waits", why, place))


def plan(data: Any, secrets: Any = None) -> Plan:
    """Check a document whole, and the secrets for it. Raises Invalid that names what cannot be taken."""
    if not isinstance(data, Mapping) or data.get("holdfast") != VERSION:
        raise Invalid({"file": f"This is no export of Holdfast, version {VERSION}."})
    made = Plan(Secrets.of(secrets, data))
    problems: dict[str, str] = {}
    for section in _SECTIONS:
        seen: set[str] = set()
        for number, each in enumerate(_listed(data, section)):
            given = each if isinstance(each, Mapping) else {}
            name = str(given.get("name", ""))
            try:
                _require_once(section, name, seen)
                _PLANNERS[section](made, given, name)
            except Invalid as error:
                where = f"{section}.{number}" + (f" ({name})" if name else "")
                problems |= {f"{where}: {field}": text for field, text in error.fields.items()}
    problems |= _lost_jumps(made)
    if problems:
        raise Invalid(problems)
    return made


def make(made: Plan) -> None:
    """Make what can be made, in an order in which it can be. Raises what making it raises.

    What was made until then stays, and stands in `made.made`.
    """
    for storage in made.storages:
        storage_setup.create(storage)
        made.made.append(f"storage {storage.name}")
    for host, jump in _jumps_first(made.hosts):
        known = host.model_copy(update={"jump_id": hosts.find(jump).id}) if jump else host
        hosts.create(known)
        made.made.append(f"host {host.name}")
    repositories = {row.name: row.repositories[0].id for row in storages.list_all()}
    for data, given in made.configs:
        configs.create(configs.parse(_with_ids(given, repositories, _host_ids())))
        made.made.append(f"config {data.name}")
    ids = {row.name: row.id for row in configs.list_all()}
    for channel, target in made.channels:
        chosen = [ids[name] for name in channel.configs]
        channels.create(channel.model_copy(update={"configs": chosen}), target)
        made.made.append(f"channel {channel.name}")


def _require_once(section: str, name: str, seen: set[str]) -> None:
    """Raise Invalid for a name that stands twice, in another case too where that is the same name here."""
    known = name.strip().casefold() if section in _ANY_CASE else name.strip()
    if known and known in seen:
        raise Invalid({"name": "Another one in this file has this name, too."})
    seen.add(known)


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


def _listed(data: Mapping[str, Any], section: str) -> Iterable[Any]:
    found = data.get(section) or []
    if not isinstance(found, list):
        raise Invalid({section: "This is no list."})
    return found


def _plan_storage(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name in {row.name for row in storages.list_all()}:
        made.steps.append(Step("storage", name, "there"))
        return
    known = made.secrets.of_storage(name)
    parsed = providers.parse({**given, **(known or _UNKNOWN)})
    if parsed.secrets and known is None:
        why = "its credentials are in no export: give them"
        made.wait("storage", name, given, why, providers.where(parsed))
    else:
        made.storages.append(parsed)
        made.steps.append(Step("storage", name, "make", place=providers.where(parsed)))


def _plan_host(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name.casefold() in {known.casefold() for known in _host_ids()}:
        made.steps.append(Step("host", name, "there"))
        return
    fields = {field: value for field, value in given.items() if field != "jump"}
    host = inputs.validate(HostInput, {**fields, "login": "made"})
    made.hosts.append((host, str(given.get("jump", ""))))
    why = "with a key of its own, to be put there; then confirm the host's key"
    made.steps.append(Step("host", name, "make", why, f"{host.user}@{host.address}:{host.port}"))


def _plan_channel(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name in {row.name for row in channels.list_all()}:
        made.steps.append(Step("channel", name, "there"))
        return
    fields = {field: value for field, value in given.items() if field != "target"}
    parsed = channel_inputs.parse(fields)
    coming = {row.name for row in configs.list_all()} | {each.name for each, _ in made.configs}
    missing = sorted(set(parsed.configs) - coming)
    target = _target(parsed.kind, given.get("target"), made.secrets.of_channel(name))
    place = _leads_to(target, given.get("target"))
    if target is None:
        why = "where it sends to is a secret, and in no export: give it"
        made.wait("channel", name, given, why, place)
    elif missing:
        made.wait("channel", name, given, f"it is for {', '.join(missing)}, which is not there", place)
    else:
        made.channels.append((parsed, target))
        made.steps.append(Step("channel", name, "make", place=place))


def _target(kind: str, given: Any, known: Mapping[str, Any] | None) -> Target | None:
    """Return where a channel leads; None while a secret is missing. Raises Invalid."""
    fields = dict(given) if isinstance(given, Mapping) else {}
    if known is not None:
        return channel_inputs.parse_target(kind, {**fields, **known})
    if kind != "email" or not fields:
        return None
    found = channel_inputs.parse_target(kind, {**fields, "password": "?"})
    return None if getattr(found, "user", "") else channel_inputs.parse_target(kind, fields)


def _leads_to(target: Target | None, given: Any) -> str:
    """Return the server that a channel's messages go to, also while its password is missing."""
    if target is not None and not isinstance(target, EmailTarget):
        return target.place
    fields = given if isinstance(given, Mapping) else {}
    return str(fields.get("host", ""))


def _plan_config(made: Plan, given: Mapping[str, Any], name: str) -> None:
    if name.casefold() in {row.name.casefold() for row in configs.list_all()}:
        made.steps.append(Step("config", name, "there"))
        return
    coming = {each.name for each in made.storages} | {row.name for row in storages.list_all()}
    wanted = sorted({str(each.get("storage")) for each in _destinations(given)})
    given = {**given, **made.secrets.in_config(name, given)}
    coming_hosts = {host.name: "coming" for host, _ in made.hosts}
    # All of it is checked, also of what waits: by ids that stand for those to come.
    parsed = configs.parse(
        _with_ids(given, {each: f"storage {each}" for each in wanted}, {**coming_hosts, **_host_ids()})
    )
    if missing := [each for each in wanted if each not in coming]:
        why = f"it goes to {', '.join(missing)}, which is not there yet{_again(given)}"
        made.wait("config", name, _spelled_out(given, parsed), why, _server_of(parsed))
        return
    made.configs.append((parsed, dict(given)))
    without = given.get("type") == "database" and not made.secrets.configs.get(name)
    why = "its password is in no export: edit it and type it" if without else ""
    made.steps.append(Step("config", name, "make", why, _server_of(parsed)))


def _spelled_out(given: Mapping[str, Any], parsed: ConfigInput) -> Mapping[str, Any]:
    """Return a config's document with what a connection's URL says in fields: a URL may hold a password, and
    does not wait, but the server must be the same."""
    source = parsed.source
    if not isinstance(source, DatabaseSource) or not given["source"].get("url"):
        return given
    return {**given, "source": {**given["source"], **source.model_dump(include=set(_OF_URL))}}


def _server_of(parsed: ConfigInput) -> str:
    """Return where the server of a database is; "" for what needs no password."""
    source = parsed.source
    return f"{source.host}:{source.port}" if isinstance(source, DatabaseSource) else ""


def _again(given: Mapping[str, Any]) -> str:
    """Say that a password does not wait with its config: what waits is kept without any."""
    is_database = given.get("type") == "database"
    return "; its password is not kept: edit it then, and type it" if is_database else ""


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
    field_name = named_by(str(given.get("type")))
    host = source.pop(field_name, None)
    if host is not None:
        if host not in host_ids:
            raise Invalid({f"source.{field_name}": f"There is no host {host!r}, and none comes with it."})
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
