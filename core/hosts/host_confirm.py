"""Whether a machine is the one that is meant: the keys that it shows, and those that a person confirmed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from core import words
from core.db import utc_now, write
from core.errors import Invalid, Unreachable
from core.hosts import host_login, hosts
from core.models import Host
from ssh.errors import SshError
from ssh.host_keys import HostKey as HostKey
from ssh.host_keys import parse as parse_key

# What a person types on the host itself to see the same fingerprint, by the key's type.
_FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


def shown_by(host: Host) -> list[HostKey]:
    """Return the keys that the host shows now, for a person to compare. Nothing is sent to it.

    Raises Unreachable; Refused if the host to go through is not confirmed yet.
    """
    from ssh.connection import ask_host_keys, connect  # slow to import: paramiko

    limits = host_login.quick_limits()
    try:
        below = connect(host_login.server_of(host.jump), limits) if host.jump else None
        try:
            return ask_host_keys(host.address, host.port, limits, below)
        finally:
            if below:
                below.close()
    except SshError as error:
        raise Unreachable(
            words.ended(f"{host.name} does not show its key: {error}"),
            "Check address and port, that sshd runs there, and that a firewall lets this machine through.",
        ) from error


def pinned(host: Host) -> list[HostKey]:
    """Return the keys that are confirmed."""
    return [parse_key(line) for line in host.pinned]


def compare_command(key: HostKey) -> str:
    """Return the command that prints this key's fingerprint on the host itself."""
    kind = _FILES.get(key.type, "ecdsa")
    return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


def state(host: Host) -> str:
    """Return what is another word whenever other keys are confirmed."""
    return hashlib.sha256("\n".join(host.pinned).encode()).hexdigest()[:16]


def confirm(host_id: str, lines: Sequence[str], by: str, *, seen: str = "") -> Host:
    """Pin these keys ("type base64" lines) and no others. Raises Invalid (`host_keys`), NotFound.

    `seen`: the `state` that somebody had before them; if others were confirmed since, nothing is pinned.
    """
    if not lines:
        raise Invalid({"host_keys": "Tick the key whose fingerprint you have compared."})
    try:
        keys = [parse_key(line) for line in lines]
    except SshError as error:
        raise Invalid({"host_keys": f"This is not a host key: {error}."}) from error
    hosts.get(host_id)
    with write() as session:
        host = session.get_one(Host, host_id)
        if seen and seen != state(host):
            text = f"Meanwhile {host.confirmed_by} has confirmed another key of it. Nothing was changed."
            raise Invalid({"host_keys": f"{text} Talk to each other, compare once more, then tick it."})
        host.host_keys = {"lines": list(dict.fromkeys(key.line for key in keys))}
        host.confirmed_at, host.confirmed_by = utc_now(), by
        host.tested_at, host.test_result = None, {}
        host.trouble, host.trouble_advice, host.trouble_since = "", "", None
        return host


def confirm_fingerprint(host_id: str, fingerprint: str, by: str) -> Host:
    """Pin the key with this fingerprint, if the host shows it. Raises Invalid, Unreachable, NotFound."""
    host = hosts.get(host_id)
    shown = shown_by(host)
    wanted = fingerprint.strip().removeprefix("SHA256:").rstrip("=")
    fitting = [key for key in shown if key.fingerprint.removeprefix("SHA256:") == wanted]
    if not fitting:
        there = ", ".join(f"{key.fingerprint} ({key.type})" for key in shown)
        raise Invalid(
            {"host_keys": f"{host.name} shows no key with this fingerprint, but {there}. Nothing was pinned."}
        )
    return confirm(host_id, [key.line for key in fitting], by)
