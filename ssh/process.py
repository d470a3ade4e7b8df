"""Programs that run on a server: arguments and names as bytes, no prompt, and an end to every wait."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from paramiko import Channel, SSHException

from ssh.connection import Connection, close_channel, reason
from ssh.errors import Unreachable

_MOST_STDERR_BYTES = 4 * 1024 * 1024


def start(connection: Connection, command: Sequence[bytes], host: str) -> Process:
    """Start a program with these arguments; `host` is how messages call the server. Raises Unreachable."""
    channel = connection.open_channel()
    try:
        channel.exec_command(b" ".join(map(quoted, command)))
    except (SSHException, EOFError, OSError) as error:
        close_channel(channel)
        raise Unreachable(f"{host} starts no program: {reason(error)}") from error
    return Process(channel, host)


@dataclass(frozen=True, slots=True)
class Output:
    """What a program wrote, and how it ended."""

    code: int
    stdout: bytes
    stderr: bytes


class Process:
    """A program that runs on a host. One thread reads."""

    def __init__(self, channel: Channel, host: str) -> None:
        self._channel = channel
        self._host = host
        self._stderr: list[bytes] = []
        self._stderr_bytes = 0

    def write(self, data: bytes) -> None:
        """Give the program some input. Raises Unreachable."""
        try:
            self._channel.sendall(data)
        except (SSHException, EOFError, OSError) as error:
            if not self.ended:
                raise self._cut(error) from error  # else it has ended without reading: its output tells why

    def send(self, data: bytes) -> None:
        """Give the program all of its standard input. Raises Unreachable."""
        self.write(data)
        with suppress(SSHException, EOFError, OSError):
            self._channel.shutdown_write()

    def read(self, most: int) -> bytes:
        """Return some of its output, b"" at the end. Raises Unreachable."""
        try:
            data = self._channel.recv(most)
            while self._channel.recv_stderr_ready():
                self._keep(self._channel.recv_stderr(64 * 1024))
        except (SSHException, EOFError, OSError) as error:
            raise self._cut(error) from error
        return data

    @property
    def alive(self) -> bool:
        """Tell whether anything may still come of it, as far as this side knows."""
        transport = self._channel.get_transport()
        return not self._channel.closed and transport.is_active() and not self.ended

    @property
    def has_said_something(self) -> bool:
        """Tell whether some of its output is here to be read."""
        return self._channel.recv_ready()

    @property
    def ended(self) -> bool:
        """Tell whether it has ended by itself, as far as this side knows."""
        return self._channel.status_event.is_set() and self._channel.exit_status != -1

    def complaints(self) -> bytes:
        """Return what it wrote to its standard error so far. Raises Unreachable."""
        try:
            while self._channel.recv_stderr_ready():
                self._keep(self._channel.recv_stderr(64 * 1024))
        except (SSHException, EOFError, OSError) as error:
            raise self._cut(error) from error
        return b"".join(self._stderr)

    def stderr_until(self, mark: bytes) -> bytes:
        """Return what it wrote to its standard error up to a mark, which is taken out. Raises Unreachable."""
        text = b"".join(self._stderr)
        while mark not in text:
            try:
                data = self._channel.recv_stderr(64 * 1024)
            except (SSHException, EOFError, OSError) as error:
                raise self._cut(error) from error
            if not data or len(text) > _MOST_STDERR_BYTES:
                raise self._cut(EOFError())
            text += data
        before, _, after = text.partition(mark)
        self._stderr, self._stderr_bytes = [after], len(after)
        return before

    def output(self, stdout: bytes = b"") -> Output:
        """Wait for its end; return how it ended, and `stdout` with it. Raises Unreachable if it was cut."""
        try:
            while data := self._channel.recv_stderr(64 * 1024):
                self._keep(data)
        except (SSHException, EOFError, OSError) as error:
            raise self._cut(error) from error
        if not self._channel.status_event.wait(30) or self._channel.exit_status == -1:
            raise Unreachable(f"a program on {self._host} was cut off")
        return Output(self._channel.exit_status, stdout, b"".join(self._stderr))

    def close(self) -> None:
        """Let go of it; one that still runs gets an end of its input and output."""
        close_channel(self._channel)

    def _keep(self, data: bytes) -> None:
        self._stderr_bytes += len(data)
        if self._stderr_bytes <= _MOST_STDERR_BYTES:
            self._stderr.append(data)

    def _cut(self, error: BaseException) -> Unreachable:
        return Unreachable(f"the connection to {self._host} broke: {reason(error)}")


def quoted(word: bytes) -> bytes:
    """Return a word as every shell takes it for one word, whatever is in it."""
    if word and all(byte in _PLAIN for byte in word):
        return word
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@")
