"""Log in with what was given, and say what the server would have liked when that was not enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from paramiko import Agent, PKey, Transport
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    IncompatiblePeer,
    SSHException,
)

from ssh import private_keys
from ssh.errors import BadPrivateKey, LoginRefused, Unreachable
from ssh.server import Server

_MAX_KEYS = 5  # sshd hangs up after six tries (MaxAuthTries); the last one is for the password


def log_in(transport: Transport, server: Server) -> None:
    """Try the keys, then the password. Raises LoginRefused, BadPrivateKey, Unreachable."""
    agent = Agent() if server.agent else None  # it signs, so it stays open
    try:
        _try(transport, server, agent)
    except (SSHException, EOFError, OSError) as error:
        raise Unreachable(f"{server.name} broke off while logging in: {error}") from error
    finally:
        if agent:
            agent.close()


def _try(transport: Transport, server: Server, agent: Agent | None) -> None:
    tried: list[str] = []
    wanted: Sequence[str] = ()
    for name, attempt in _attempts(transport, server, agent):
        tried.append(name)
        try:
            wanted = attempt()  # further steps that the server demands; none: we are in
        except BadAuthenticationType as error:
            wanted = error.allowed_types
        except (AuthenticationException, IncompatiblePeer):
            continue
        if transport.is_authenticated():
            return
    raise LoginRefused(_refused(server, tried, wanted))


def _attempts(
    transport: Transport, server: Server, agent: Agent | None
) -> Iterator[tuple[str, Callable[[], Sequence[str]]]]:
    for name, key in list(_keys(server, agent))[:_MAX_KEYS]:
        yield name, lambda key=key: transport.auth_publickey(server.user, key)  # type: ignore[misc]
    password = server.password
    if password is not None:
        yield "the password", lambda: transport.auth_password(server.user, password)


def _keys(server: Server, agent: Agent | None) -> Iterator[tuple[str, PKey]]:
    if server.private_key:
        yield "the private key", private_keys.load(server.private_key, server.passphrase)
    if agent:
        yield from (("a key of the agent", key) for key in agent.get_keys())
    for path in server.key_files:
        key = _key_in_file(os.path.expanduser(path), server.passphrase)
        if key:
            yield path, key


def _key_in_file(path: str, passphrase: str | None) -> PKey | None:
    """Return the key in a file of the user's; None where `ssh` would ask or go on: missing, or locked."""
    try:
        with open(path, encoding="utf-8") as file:
            return private_keys.load(file.read(), passphrase)
    except (OSError, UnicodeDecodeError, BadPrivateKey):
        return None


def _refused(server: Server, tried: Sequence[str], wanted: Sequence[str]) -> str:
    who = f"{server.name} does not let {server.user} in"
    if not tried:
        return f"{who}: no key and no password was given"
    text = f"{who} with {' or '.join(dict.fromkeys(tried))}"
    if wanted:
        text += f"; it asks for: {', '.join(wanted)}"
    if set(tried) == {"the password"}:
        return f"{text}. Check the user's name and the password, and that the account is not locked"
    return (
        f"{text}. Check the user's name, that the key's line stands in its authorized_keys there, "
        "and that the account is not locked"
    )
