"""Requests to an SFTP server and their replies, many under way at once."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from paramiko import SSHException

from ssh import sftp_wire as wire
from ssh.connection import Connection, close_channel, reason
from ssh.errors import NoSftp, SshError, Unreachable

_MOST_BYTES = 1024 * 1024  # of a reply; OpenSSH sends at most 256 KiB
_RECEIVE_BYTES = 16 * 1024 * 1024  # all that is there: what is left behind is moved each time


class SftpStatus(SshError):
    """The server refuses a request. `code` is one of sftp_wire's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class SftpChannel:
    """The SFTP subsystem of a connection, for one thread at a time. Once `broken` it is of no use."""

    def __init__(self, connection: Connection) -> None:
        """Start the subsystem. Raises NoSftp, Malformed, Unreachable."""
        self._channel = connection.open_channel()
        self._received = bytearray()
        self._replies: dict[int, wire.Reply] = {}
        self._awaited: set[int] = set()
        self._next_id = 0
        self.broken = False
        try:
            self._channel.invoke_subsystem("sftp")
            self._send(struct.pack(">IBI", 5, wire.INIT, 3))
            self.extensions = self._greeting()
        except SSHException as error:
            raise NoSftp(f"the server offers no SFTP to this login: {error}") from error

    def request(self, kind: int, body: bytes, data: bytes | memoryview = b"") -> int:
        """Send a request; `data` follows its body. Return the number to ask for its reply with."""
        self._next_id = number = (self._next_id + 1) & 0xFFFFFFFF
        length = 5 + len(body) + len(data)
        self._awaited.add(number)
        self._send(b"".join((struct.pack(">IBI", length, kind, number), body, data)))
        return number

    def reply(self, number: int, kind: int) -> wire.Reply:
        """Wait for a reply, which must be of `kind`. Raises SftpStatus, Malformed, Unreachable."""
        while number not in self._replies:
            self._receive()
        reply = self._replies.pop(number)
        if reply.kind == kind and kind != wire.STATUS:
            return reply
        if reply.kind != wire.STATUS:
            raise self._garbled(f"the SFTP server answers with {reply.kind} where {kind} was expected")
        code = reply.number()
        if code != wire.OK:
            raise SftpStatus(code, "" if reply.ended else reply.string().decode("utf-8", "replace"))
        if kind != wire.STATUS:
            raise self._garbled("the SFTP server says OK and sends no answer")
        return reply

    def call(self, kind: int, body: bytes, answer: int = wire.STATUS) -> wire.Reply:
        """Send a request and wait for its reply."""
        return self.reply(self.request(kind, body), answer)

    def forget(self, numbers: Iterable[int]) -> None:
        """Wait for replies that nobody needs any more, if any can come."""
        for number in numbers:
            while number not in self._replies and not self.broken:
                self._receive()
            self._replies.pop(number, None)

    def close(self) -> None:
        """End the subsystem."""
        close_channel(self._channel)

    def _greeting(self) -> dict[bytes, bytes]:
        kind, body = self._packet()
        reply = wire.Reply(kind, body, 1)
        if kind != wire.VERSION:
            raise self._garbled("what answers is no SFTP server; does a login script print something?")
        reply.number()
        extensions = {}
        while not reply.ended:
            name = reply.string()
            extensions[name] = reply.string()
        return extensions

    def _send(self, packet: bytes) -> None:
        try:
            self._channel.sendall(packet)
        except (SSHException, EOFError, OSError) as error:
            raise self._cut(error) from error

    def _receive(self) -> None:
        """Wait for one packet, and keep it for whoever asked."""
        kind, body = self._packet()
        reply = wire.Reply(kind, body, 1)
        number = reply.number()
        if number not in self._awaited:
            raise self._garbled("the SFTP server answers what nobody asked")
        self._awaited.remove(number)
        self._replies[number] = reply

    def _packet(self) -> tuple[int, bytes]:
        length = struct.unpack(">I", self._take(4))[0]
        if not 1 <= length <= _MOST_BYTES:
            raise self._garbled("what answers is no SFTP server; does a login script print something?")
        body = self._take(length)
        return body[0], body

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            try:
                data = self._channel.recv(_RECEIVE_BYTES)
            except (SSHException, EOFError, OSError) as error:
                raise self._cut(error) from error
            if not data:
                raise self._cut(EOFError())
            self._received += data
        taken = bytes(memoryview(self._received)[:count])
        del self._received[:count]
        return taken

    def _cut(self, error: BaseException) -> Unreachable:
        self.broken = True
        return Unreachable(f"the SFTP connection broke: {reason(error)}")

    def _garbled(self, text: str) -> wire.Malformed:
        self.broken = True
        return wire.Malformed(text)
