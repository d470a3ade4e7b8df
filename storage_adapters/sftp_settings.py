"""Which SFTP server, how to log in there, and by which keys it is known."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field

from ssh import user_files
from ssh.connection import DEFAULT_LIMITS, TimeLimits, ask_host_keys
from ssh.errors import SshError
from ssh.host_keys import HostKey
from ssh.server import Server
from storage_adapters.sftp_errors import not_connected


@dataclass(frozen=True, slots=True)
class SftpSettings:
    """Where the server is and how to log in.

    `path` is the storage's root there; relative: to the login's home. `private_key` is PEM text, with its
    `passphrase` if it has one. `known_host_keys` are the pinned keys as "type base64" lines; a server that
    shows none of them is refused. `agent` and `key_files` are further keys to try, for the command line.
    """

    host: str
    user: str
    path: str
    port: int = 22
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    known_host_keys: tuple[str, ...] = ()
    agent: bool = False
    key_files: tuple[str, ...] = ()

    @property
    def root(self) -> bytes:
        """Return the root as the server is asked for it."""
        return os.fsencode(posixpath.normpath(self.path or "."))

    @property
    def shown(self) -> str:
        """Return how messages call the root."""
        return f"{self.server.name}:{self.path}"

    @property
    def server(self) -> Server:
        """Return the server alone, without the path."""
        return Server(
            self.host,
            self.user,
            self.port,
            self.password,
            self.private_key,
            self.passphrase,
            self.known_host_keys,
            self.agent,
            self.key_files,
        )


def host_keys(host: str, port: int = 22, limits: TimeLimits = DEFAULT_LIMITS) -> list[HostKey]:
    """Return the keys that a server shows, without logging in. Raises StorageError if out of reach."""
    try:
        return ask_host_keys(host, port, limits)
    except SshError as error:
        raise not_connected(error) from error


def time_limits(connect_s: float | None, answer_s: float | None) -> TimeLimits:
    """Return how long a server is waited for; None: as long as usual."""
    usual = DEFAULT_LIMITS
    return TimeLimits(
        connect_s=connect_s or usual.connect_s, handshake_s=connect_s or usual.handshake_s,
        login_s=answer_s or usual.login_s, idle_s=answer_s or usual.idle_s,
    )  # fmt: skip


def settings_like_ssh(host: str, user: str | None, port: int | None, path: str) -> SftpSettings:
    """Return what `ssh` would use here: ~/.ssh/config, ~/.ssh/known_hosts, agent and key files.

    Raises a StorageError where one of these cannot be read.
    """
    try:
        server = user_files.like_ssh(host, user, port)
    except SshError as error:
        raise not_connected(error) from error
    return SftpSettings(
        server.host,
        server.user,
        path,
        server.port,
        known_host_keys=server.known_host_keys,
        agent=True,
        key_files=server.key_files,
    )
