"""How to log in to a host: its secrets, sealed; the line for authorized_keys; the server to connect to."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select

from core import secrets
from core.db import db
from core.errors import Invalid, Refused
from core.hosts.host_inputs import HostInput
from core.models import Config, GateKey, Host
from sources.postgres.server import LOOPBACK
from ssh.errors import BadPrivateKey
from ssh.server import Server

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from sources.ssh.packing import Compression
    from ssh.connection import TimeLimits

_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_.:-]+\Z")
# permitopen is about what is connected to: without permitlisten, ports of the host would lead to us.
_LEADS_ON = ["restrict", "port-forwarding", 'permitlisten="localhost:1"']
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
    options = _LEADS_ON if leads_on else key_options(_databases_of(host))
    return f"{','.join(options)} {host.public_key}"


def key_options(databases: Iterable[tuple[str, int]]) -> list[str]:
    """Return what a key's line begins with: nothing is allowed but what these servers, as the host sees them,
    are reached by. sshd has no such limit for Unix sockets, and none for addresses where none is named: who
    needs a socket alone may go to the same server's port."""
    databases = [("localhost" if host.startswith("/") else host, port) for host, port in databases]
    shown = {(f"[{host}]" if ":" in host else host, port) for host, port in databases if is_plain(host)}
    opens = [f'permitopen="{host}:{port}"' for host, port in sorted(shown)]
    return [*_LEADS_ON, *opens] if opens else ["restrict"]


def forwarding(line: str, user: str) -> tuple[str, str]:
    """Say what a key's line allows of forwarding, "" for nothing, and what it forbids, after other things."""
    if "port-forwarding" not in line:
        return "", ", forwarding"
    to = "its database servers" if "permitopen" in line else "any address, since other hosts are reached so,"
    forbids = ", forwarding to anything else" if "permitopen" in line else ""
    return (
        f" It may forward to {to} and to any Unix socket that {user} may open.",
        f"{forbids}, listening on ports",
    )


def is_plain(address: str) -> bool:
    """Tell whether an address may stand in a line that is pasted into a shell."""
    return _PLAIN_ADDRESS.match(address) is not None


def install_command(host: Host) -> str:
    """Return the line that a person pastes into a shell on the host, logged in as the host's user."""
    line = authorized_line(host)
    return put_line(line) if line else ""


def put_line(line: str) -> str:
    """Return shell by which a user puts this line into the own authorized_keys, for its key.

    Other lines of the same key are left out: sshd goes by the first that it finds, which may allow more.
    """
    file, new = "authorized_keys", "authorized_keys.new"
    blob = next(word for word in line.split() if word.startswith("AAAA"))
    others = f"{{ test ! -e {file} || grep -vF {shlex.quote(blob)} {file} || test $? = 1; }}"
    return (
        f"mkdir -p -m 700 ~/.ssh && (cd ~/.ssh && {others} > {new} && echo {shlex.quote(line)} >> {new} "
        f"&& chmod 600 {new} && mv -f {new} {file})"
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

    limits = quick_limits() if quick else HOST_LIMITS
    return SshHostSettings(server_of(host), host.sudo, cast("Compression", host.compression), limits)


def _databases_of(host: Host) -> list[tuple[str, int]]:
    """Return address and port of the servers whose databases are backed up by way of a host."""
    of_host = Config.deleted_at.is_(None) & (Config.source["host_id"].as_string() == host.id)
    found = db.session.scalars(select(Config).where(of_host, Config.type == "database"))
    gated = select(GateKey.place).where(GateKey.host_id == host.id, GateKey.mode == "dump")
    by_keys = set(db.session.scalars(gated))
    return [
        (str(config.source["host"]), int(config.source["port"]))
        for config in found
        if not _is_dumped_by(by_keys, config.source)
    ]


def _is_dumped_by(keys: set[str], source: Mapping[str, Any]) -> bool:
    """Tell whether keys of their own dump all databases of a config: no way to the server is needed then."""
    if str(source["host"]) not in LOOPBACK:
        return False  # such a key is for the host's own server
    places = {f"{name}:{source['port']}" for name in source.get("databases", ())}
    return source.get("which") == "chosen" and places <= keys


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
