"""Hosts on the real sshd of the tests, set up as a person would."""

from __future__ import annotations

from typing import Any

from core.hosts import host_confirm, host_inputs, hosts
from core.models import Host
from tests.servers.sshd import Sshd


def host_form(sshd: Sshd, name: str = "web1", **more: Any) -> dict[str, Any]:
    """Return the fields of a host on this server, with the key that it knows."""
    server = sshd.server()
    return {
        "name": name, "address": server.host, "port": str(server.port), "user": server.user,
        "login": "given", "private_key": server.private_key, **more,
    }  # fmt: skip


def make_host(sshd: Sshd, name: str = "web1", **more: Any) -> Host:
    """Add a host on this server, with its key confirmed."""
    host = hosts.create(host_inputs.parse(host_form(sshd, name, **more)))
    return host_confirm.confirm(host.id, sshd.host_key_lines[:1], "tests")
