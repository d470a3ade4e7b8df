"""Run programs on a host over SSH: arguments and names as bytes, no prompt, and an end to every wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repository.entries import SourceUnavailable
from ssh import process
from ssh.connection import Connection, TimeLimits, connect
from ssh.errors import SshError, Unreachable
from ssh.process import Output, Process
from ssh.server import Server
from ssh.sftp import Sftp

# A program may be silent for long while it looks through a slow disk; a dead connection is noticed by itself.
HOST_LIMITS = TimeLimits(idle_s=600.0)

MOST_BYTES = 1024 * 1024 * 1024  # the attributes of some ten million files
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class SshHostSettings:
    """A host: how to log in, and whether to run what reads files as root, by `sudo -n`."""

    server: Server
    sudo: bool = False


def read_all(read: Callable[[int], bytes], host: str) -> bytes:
    """Return all that `read` gives. Raises SourceUnavailable if that is more than any honest host sends."""
    parts, size = [], 0
    while data := read(_READ_BYTES):
        parts.append(data)
        size += len(data)
        if size > MOST_BYTES:
            raise SourceUnavailable(f"{host} sends more than {MOST_BYTES} bytes where little was asked for")
    return b"".join(parts)


class SshHost:
    """A host that is connected to when it is first needed, and again after a cut. For several threads."""

    def __init__(self, settings: SshHostSettings, limits: TimeLimits = HOST_LIMITS) -> None:
        self.settings = settings
        self._limits = limits
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return self.settings.server.name

    def start(self, command: Sequence[bytes], *, plain: bool = False) -> Process:
        """Start a program, as root if the host is set so and it is not `plain`. Raises Unreachable."""
        words = list(command) if plain or not self.settings.sudo else [b"sudo", b"-n", b"--", *command]
        try:
            return process.start(self._live(), words, self.name)
        except Unreachable:  # most often a connection that was cut and did not know it yet
            self.close()
            return process.start(self._live(), words, self.name)

    def run(self, command: Sequence[bytes], stdin: bytes = b"", *, plain: bool = False) -> Output:
        """Run a program to its end. Raises Unreachable; SourceUnavailable if it writes without an end."""
        running = self.start(command, plain=plain)
        try:
            running.send(stdin)
            return running.output(read_all(running.read, self.name))
        finally:
            running.close()

    def sftp(self) -> Sftp:
        """Return an SFTP session on a connection of its own. Raises SourceUnavailable, SshError."""
        return Sftp(self._connect())

    def close(self) -> None:
        """End the connection; it may be used again."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    def _live(self) -> Connection:
        with self._lock:
            if self._connection is None or not self._connection.alive:
                if self._connection:
                    self._connection.close()
                self._connection = self._connect()
            return self._connection

    def _connect(self) -> Connection:
        try:
            return connect(self.settings.server, self._limits)
        except Unreachable:
            raise
        except SshError as error:
            raise SourceUnavailable(str(error)) from error
