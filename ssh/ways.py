"""Where a server leads on to: an address, a Unix socket, or a program that holds on to one for us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paramiko import Channel, SSHException

from ssh.connection import Connection, close_channel, reason
from ssh.errors import RelayFailed, SshError, Unreachable
from ssh.process import quoted

_LAST_WAIT_S = 10.0
_MOST_WORDS = 2000


class Way(Protocol):
    """One of them. For several threads."""

    def open(self) -> Channel:
        """Return a new channel to there. Raises SshError."""

    def trouble(self, channel: Channel) -> SshError | None:
        """Return what went wrong at the far end of a channel that has ended there, None if nothing did."""


@dataclass(frozen=True, slots=True)
class ToAddress:
    """An address as the server sees it."""

    connection: Connection
    host: str
    port: int

    def open(self) -> Channel:
        """Raises ForwardRefused, NobodyThere, Unreachable."""
        return self.connection.lead_to(self.host, self.port)

    def trouble(self, channel: Channel) -> SshError | None:
        """Return None: nobody tells."""
        return None


@dataclass(frozen=True, slots=True)
class ToSocket:
    """A Unix socket, opened there as the user who logs in."""

    connection: Connection
    path: str

    def open(self) -> Channel:
        """Raises NobodyThere, Unreachable."""
        return self.connection.lead_to_socket(self.path)

    def trouble(self, channel: Channel) -> SshError | None:
        """Return None: nobody tells."""
        return None


@dataclass(frozen=True, slots=True)
class ByProgram:
    """What a program there says and hears: its standard output and input."""

    connection: Connection
    command: Sequence[bytes]

    def open(self) -> Channel:
        """Raises Unreachable."""
        channel = self.connection.open_channel()
        try:
            channel.exec_command(b" ".join(map(quoted, self.command)))
        except (SSHException, EOFError, OSError) as error:
            close_channel(channel)
            raise Unreachable(f"the server starts no program: {reason(error)}") from error
        channel.settimeout(None)
        return channel

    def trouble(self, channel: Channel) -> SshError | None:
        """Return what the program complained of, if it failed."""
        if not channel.status_event.wait(_LAST_WAIT_S) or channel.exit_status in (0, -1):
            return None  # without a code it did not end by itself: then the connection tells why
        said = channel.recv_stderr(_MOST_WORDS) if channel.recv_stderr_ready() else b""
        words = said.decode("utf-8", "replace").strip()
        return RelayFailed(words or f"it ended with code {channel.exit_status} and gave no reason")
