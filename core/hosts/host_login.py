"""How to log in to a host: its secrets, sealed; the line for authorized_keys; the server to connect to."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select

from core import secrets
from core.db import db
from core.errors import Invalid, Refused
from core.hosts.host_inputs import HostInput
from core.models import Host
from ssh.errors import BadPrivateKey
from ssh.server import Server

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from ssh.connection import TimeLimits

_SEALED_IN = {"table": "hosts", "column": "credentials_sealed"}


def set_login(host: Host, data: HostInput) -> None:
    """Seal into the row, which has its id, what the input says; a key that is wanted is made.

    Raises Invalid for a private key that cannot be read.
    """
    if data.login == "keep":
        return
    credentials, host.public_key = _credentials(data)
    host.credentials_sealed = secrets.seal(json.dumps(credentials), row=host.id, **_SEALED_IN)


def way_in(host: Host) -> str:
    """Say what logs in: "key" or "password"."""
    return "key" if host.public_key else "password"


def authorized_line(host: Host) -> str:
    """Return the line for `authorized_keys`, with no more rights than are needed; "" with a password."""
    if not host.public_key:
        return ""
    leads_on = db.session.scalar(select(Host.id).where(Host.jump_id == host.id).limit(1)) is not None
    return f"restrict{',port-forwarding' if leads_on else ''} {host.public_key}"


def install_command(host: Host) -> str:
    """Return the line that a person pastes into a shell on the host, logged in as the host's user."""
    line = authorized_line(host)
    if not line:
        return ""
    return (
        f"mkdir -p -m 700 ~/.ssh && echo '{line}' >> ~/.ssh/authorized_keys "
        "&& chmod 600 ~/.ssh/authorized_keys"
    )


def server_of(host: Host) -> Server:
    """Return the server to connect to. Raises Refused until a person has confirmed its key; SealBroken."""
    if not host.pinned:
        raise Refused(
            f"The host key of {host.name} is not confirmed yet, so nothing is sent to it.",
            f"Open the host {host.name}, compare the fingerprint and confirm it; or run "
            f"`flask backup host confirm`.",
        )
    credentials = json.loads(secrets.unseal(host.credentials_sealed, row=host.id, **_SEALED_IN))
    return Server(
        host.address,
        host.user,
        host.port,
        password=credentials.get("password"),
        private_key=credentials.get("private_key"),
        passphrase=credentials.get("passphrase"),
        known_host_keys=host.pinned,
        jump=server_of(host.jump) if host.jump else None,
    )


def settings_of(host: Host, *, quick: bool = False) -> SshHostSettings:
    """Return the same for sources and targets; `quick`: somebody waits for the answer. Raises Refused."""
    from sources.ssh.host import HOST_LIMITS, SshHostSettings  # slow to import: paramiko

    return SshHostSettings(server_of(host), host.sudo, quick_limits() if quick else HOST_LIMITS)


def quick_limits() -> TimeLimits:
    """Return how long somebody who waits for the answer is made to wait for each step."""
    from ssh.connection import TimeLimits  # slow to import: paramiko

    return TimeLimits(connect_s=8.0, handshake_s=8.0, login_s=15.0, idle_s=30.0)


def _credentials(data: HostInput) -> tuple[Mapping[str, str], str]:
    """Return what logs in, and the public key that belongs to it, "" for a password."""
    from ssh import private_keys  # slow to import: paramiko

    if data.login == "password":
        return {"password": data.password}, ""
    if data.login == "made":
        private, public = private_keys.make(f"holdfast@{socket.gethostname()}")
        return {"private_key": private}, public
    try:
        key = private_keys.load(data.private_key, data.passphrase or None)
    except BadPrivateKey as error:
        text = str(error)
        raise Invalid({"private_key": f"{text[:1].upper()}{text[1:]}."}) from error
    found = {"private_key": data.private_key, "passphrase": data.passphrase}
    return {name: value for name, value in found.items() if value}, f"{key.get_name()} {key.get_base64()}"
