"""Calls about hosts: list, add, confirm their key, test, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from flask import url_for
from pydantic import BaseModel, ConfigDict, Field

from core.hosts import host_confirm, host_inputs, host_login, host_test, hosts
from core.hosts.host_inputs import Compression, HostInput
from core.models import Host
from webapp.access import access
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body, Given

# What an answer says beside what a person decides; sent back with it, it is passed over.
_FACTS = ("id", "way_in", "state", "trouble", "fingerprints", "authorized_line", "tested_at", "created_at")
_BODY = Body(HostInput, parse=dict)


class HostOut(Out):
    """A machine that is reached over SSH. Address, user and keys are shown to admins; what logs in to nobody.

    `authorizedLine` belongs into `authorized_keys` there. `fingerprints`: those that a person has confirmed.
    """

    id: str
    name: str
    address: str
    port: int
    user: str
    sudo: bool
    jump_id: str | None
    parallel_jobs: int
    compression: Compression
    way_in: str
    state: hosts.State
    trouble: str
    fingerprints: list[str]
    authorized_line: str
    tested_at: datetime | None
    created_at: datetime


class KeyOut(Out):
    """A key that the host shows."""

    type: str
    fingerprint: str


class StepOut(Out):
    """One step of a test; `ok` null: it was not come to."""

    name: str
    ok: bool | None
    ms: int
    text: str


class HostTestOut(Out):
    """How a test of a host went. `limits`: what of its files cannot be kept."""

    ok: bool
    steps: list[StepOut]
    limits: list[str]
    advice: str


class Confirmation(BaseModel):
    """The fingerprint of the key that was compared on the host itself."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    fingerprint: str = Field(min_length=1, max_length=200)


@door.operation("GET", "/backup/hosts", "viewer", query=queries.Paged, answer=ListOut[HostOut])
def list_hosts(query: queries.Paged) -> Any:
    """List the hosts by name."""
    return answers.part(hosts.list_all(), _given, query)


@door.operation("POST", "/backup/hosts", "admin", body=_BODY, answer=HostOut, status=201)
def create_host(body: dict[str, Any]) -> Given:
    """Add a host; a key is made for it unless one is given. Nothing is sent to it before it is confirmed."""
    made = hosts.create(host_inputs.parse(decided(body)))
    return Given(_given(made), headers={"Location": url_for("api.get_host", host_id=made.id)})


@door.operation("GET", "/backup/hosts/<host_id>", "viewer", answer=HostOut)
def get_host(host_id: str) -> HostOut:
    """Return a host."""
    return _given(hosts.get(host_id))


@door.operation("PUT", "/backup/hosts/<host_id>", "admin", body=_BODY, answer=HostOut)
def replace_host(host_id: str, body: dict[str, Any]) -> HostOut:
    """Change a host; what is not named stays, and so does what logs in."""
    before = host_inputs.to_form(hosts.get(host_id))
    return _given(hosts.update(host_id, host_inputs.parse({**before, **decided(body)})))


@door.operation("DELETE", "/backup/hosts/<host_id>", "admin", also=(409,))
def delete_host(host_id: str) -> None:
    """Forget a host; its points stay. Refused while a config or another host needs it."""
    hosts.delete(host_id)


@door.operation("GET", "/backup/hosts/<host_id>/keys", "admin", answer=ListOut[KeyOut], also=(409, 503))
def list_host_keys(host_id: str) -> Any:
    """Ask a host for its keys, to be compared with those that it prints itself."""
    shown = host_confirm.shown_by(hosts.get(host_id))
    return answers.part(shown, _key, queries.Paged())


@door.operation(
    "POST", "/backup/hosts/<host_id>/confirm", "admin", body=Body(Confirmation), answer=HostOut,
    also=(409, 503),
)  # fmt: skip
def confirm_host(host_id: str, body: Confirmation) -> HostOut:
    """Pin the key with this fingerprint, if the host shows it; any other is refused from then on."""
    who = f"{access.user().name} (API)"
    return _given(host_confirm.confirm_fingerprint(host_id, body.fingerprint, who))


@door.operation("POST", "/backup/hosts/<host_id>/test", "operator", answer=HostTestOut, also=(409,))
def test_host(host_id: str) -> HostTestOut:
    """Go the whole way that a backup goes; nothing is written there."""
    result = host_test.test(host_id)
    steps = [StepOut(**asdict(step)) for step in result.steps]
    return HostTestOut(ok=result.ok, steps=steps, limits=result.limits, advice=result.advice)


def decided(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a document a person decides: facts that came with an answer are passed over."""
    return {name: value for name, value in body.items() if name not in _FACTS and value is not None}


def _key(key: host_confirm.HostKey) -> KeyOut:
    return KeyOut(type=key.type, fingerprint=key.fingerprint)


def _given(row: Host) -> HostOut:
    return shown(row, full=access.may("admin"))


def shown(row: Host, *, full: bool) -> HostOut:
    """Return a host as it is given; `full`: with where it is and who logs in."""
    return HostOut(
        id=row.id, name=row.name, address=row.address if full else "", port=row.port,
        user=row.user if full else "", sudo=row.sudo, jump_id=row.jump_id, parallel_jobs=row.parallel_jobs,
        compression=cast("Compression", row.compression),
        way_in=host_login.way_in(row), state=hosts.state_of(row), trouble=row.trouble if full else "",
        fingerprints=[key.fingerprint for key in host_confirm.pinned(row)] if full else [],
        authorized_line=host_login.authorized_line(row) if full else "", tested_at=row.tested_at,
        created_at=row.created_at,
    )  # fmt: skip
