"""What `ssh` itself would use for the user of this process: for the command line."""

from __future__ import annotations

import getpass
import os

from paramiko import HostKeys, SSHConfig, SSHException
from paramiko.ssh_exception import ConfigParseError

from ssh.errors import SshError
from ssh.server import Server

_KEY_FILES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


def like_ssh(host: str, user: str | None, port: int | None) -> Server:
    """Return the server that `ssh host` would go to, with agent, key files and known host keys.

    ~/.ssh/config counts: HostName, Port, User, IdentityFile, HostKeyAlias. Raises SshError for one that
    cannot be read, or that demands a ProxyJump or ProxyCommand.
    """
    config = _config(host)
    for unsupported in ("proxyjump", "proxycommand"):
        if config.get(unsupported, "none") != "none":
            raise SshError(f"~/.ssh/config demands {unsupported} for {host}, which is not supported here")
    name = str(config.get("hostname", host))
    port = port or int(config.get("port", 22))
    alias = config.get("hostkeyalias")
    return Server(
        name,
        user or str(config.get("user", getpass.getuser())),
        port,
        # An alias stands alone in the file, as ssh has it: without the port.
        known_host_keys=known_host_keys(alias, 22) if alias else known_host_keys(name, port),
        agent=True,
        key_files=(*config.get("identityfile", ()), *_KEY_FILES),
    )


def known_host_keys(host: str, port: int) -> tuple[str, ...]:
    """Return the lines ("type base64") that the user's known_hosts files hold for a server."""
    name = host if port == 22 else f"[{host}]:{port}"
    lines: list[str] = []
    for path in _KNOWN_HOSTS:
        lines += _lines_in(os.path.expanduser(path), name)
    return tuple(lines)


def _lines_in(path: str, name: str) -> list[str]:
    if not os.path.exists(path):
        return []
    try:
        found = HostKeys(path).lookup(name)
    except (OSError, UnicodeDecodeError, SSHException) as error:
        raise SshError(f"{path} cannot be read: {error}") from error
    return [f"{kind} {key.get_base64()}" for kind, key in (found or {}).items()]


def _config(host: str) -> dict[str, str]:
    path = os.path.expanduser("~/.ssh/config")
    if not os.path.exists(path):
        return {}
    try:
        return dict(SSHConfig.from_path(path).lookup(host))
    except (OSError, UnicodeDecodeError, ConfigParseError) as error:
        raise SshError(f"{path} cannot be read: {error}") from error
