"""Run programs on a host over SSH: arguments and names as bytes, no prompt, and an end to every wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from repository.entries import SourceUnavailable
from sources.ssh.packing import Compression
from ssh import process
from ssh.connection import WINDOW_BYTES, Connection, TimeLimits, connect
from ssh.errors import SshError, Unreachable
from ssh.process import Output, Process
from ssh.server import Server
from ssh.sftp import Sftp

# A program may be silent for long while it looks through a slow disk. A dead connection is noticed by itself.
HOST_LIMITS = TimeLimits(idle_s=600.0)

MOST_BYTES = 1024 * 1024 * 1024  # the attributes of some ten million files


@dataclass(frozen=True, slots=True)
class SshHostSettings:
    """A host: how to log in, and whether to run what reads files as root, by `sudo -n`.

    `compression`: whether what it sends is packed on its way; `auto` if the link is slow.
    """

    server: Server
    sudo: bool = False
    compression: Compression = "auto"
    limits: TimeLimits = HOST_LIMITS


def read_all(read: Callable[[int], bytes], host: str) -> bytes:
    """Return all that `read` gives. Raises SourceUnavailable if that is more than any honest host sends."""
    parts, size = [], 0
    while data := read(WINDOW_BYTES):
        parts.append(data)
        size += len(data)
        if size > MOST_BYTES:
            raise SourceUnavailable(f"{host} sends more than {MOST_BYTES} bytes where little was asked for")
    return b"".join(parts)


class SshHost:
    """A host that is connected to when it is first needed, and again after a cut. For several threads."""

    def __init__(self, settings: SshHostSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return self.settings.server.name

    def start(self, command: Sequence[bytes], *, plain: bool = False) -> Process:
        """Start a program, as root if the host is set so and it is not `plain`. Raises Unreachable."""
        words = list(command) if plain or not self.settings.sudo else [b"sudo", b"-n", b"--", *command]
        connection, is_new = self._live()
        try:
            return process.start(connection, words, self.name)
        except Unreachable:
            self._drop(connection)
            if is_new:
                raise
            return process.start(self._live()[0], words, self.name)  # it was cut, and did not know it yet

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

    def _live(self) -> tuple[Connection, bool]:
        """Return the connection, and whether it was made just now."""
        with self._lock:
            if self._connection is not None and self._connection.alive:
                return self._connection, False
            if self._connection:
                self._connection.close()
            self._connection = None
            self._connection = self._connect()
            return self._connection, True

    def _drop(self, connection: Connection) -> None:
        """End a connection that is of no use, unless another thread has made a new one already."""
        connection.close()
        with self._lock:
            if self._connection is connection:
                self._connection = None

    def _connect(self) -> Connection:
        try:
            return connect(self.settings.server, self.settings.limits)
        except Unreachable:
            raise
        except SshError as error:
            raise SourceUnavailable(str(error)) from error
