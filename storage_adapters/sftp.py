"""Objects as files on an SFTP server, laid out as restic lays them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ssh.host_keys import HostKey
from storage_adapters.base import ObjectInfo


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


def host_keys(host: str, port: int = 22) -> list[HostKey]:
    """Return the keys that a server shows, without logging in. Raises StorageError if out of reach."""
    raise NotImplementedError


def settings_like_ssh(host: str, user: str | None, port: int | None, path: str) -> SftpSettings:
    """Return what `ssh` would use here: ~/.ssh/config, ~/.ssh/known_hosts, agent and key files.

    Raises a StorageError where one of these cannot be read.
    """
    raise NotImplementedError


def create_root(settings: SftpSettings) -> None:
    """Make the root folder, for set-up and `init` only: an adapter never makes its own root.

    Raises a StorageError where that is not possible.
    """
    raise NotImplementedError


class SftpAdapter:
    """A StorageAdapter below a folder of an SFTP server. Connects at its first call, anew after a cut."""

    def __init__(self, settings: SftpSettings) -> None:
        self.settings = settings

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter."""
        raise NotImplementedError

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        raise NotImplementedError

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        raise NotImplementedError

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        raise NotImplementedError

    def close(self) -> None:
        """See StorageAdapter."""
