"""An address that a server reaches, brought here: whoever connects to our socket is led there over SSH."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from paramiko import Channel, SSHException

from ssh.connection import Connection, close_channel
from ssh.errors import SshError, Unreachable
from ssh.ways import Way

_PIECE_BYTES = 256 * 1024
_BACKLOG = 16
_LAST_WAIT_S = 5.0
_GONE_WAIT_S = 2.0  # how long a connection that breaks may take to say so
_TCP_TABLE = "/proc/net/tcp"


class Forward:
    """Takes connections on a socket of this machine until it is closed, each by way of one SSH connection.

    Nobody but the user of this process gets through. `trouble` is the first thing that SSH did to one of
    them; whoever uses the socket sees only that it was closed. Closing ends the SSH connection, too.
    """

    def __init__(
        self,
        connection: Connection,
        way: Way,
        listener: socket.socket,
        is_ours: Callable[[socket.socket], bool],
    ) -> None:
        self._connection = connection
        self._way = way
        self._listener = listener
        self.address = listener.getsockname()
        self._is_ours = is_ours
        self._lock = threading.Lock()
        self._closing = False
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.trouble: SshError | None = None
        self._start(self._accept)

    @property
    def open(self) -> int:
        """The number of connections that are led there now."""
        with self._lock:
            return len(self._ends)

    def close(self) -> None:
        """Let nobody in any more, and end what is open; a second time does nothing."""
        with self._lock:
            self._closing = True
            ends = list(self._ends)
        for end in [self._listener, *ends]:
            _shut(end, socket.SHUT_RDWR)
        self._connection.close()
        for thread in list(self._threads):
            thread.join(_LAST_WAIT_S)
        self._listener.close()

    def _start(self, what: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=what, args=arguments, name="forward", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()  # within the lock: one that has not begun is not alive
        return thread

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                if not self._closing:
                    self._ends.add(end)
            if self._closing or not self._is_ours(end):
                self._let_go(end)
            else:
                self._start(self._serve, end)

    def _serve(self, end: socket.socket) -> None:
        """Lead one connection on until both sides have ended it."""
        try:
            channel = self._way.open()
        except SshError as error:
            self._note(error)
            self._let_go(end)
            return
        up = self._start(self._send, end, channel)
        try:
            self._receive(end, channel)
        finally:
            _shut(end, socket.SHUT_RDWR)
            close_channel(channel)
            up.join(_LAST_WAIT_S)
            self._let_go(end)

    def _send(self, end: socket.socket, channel: Channel) -> None:
        """Take what comes from here there."""
        with suppress(SSHException, EOFError, OSError):  # the other direction says what happened
            while data := end.recv(_PIECE_BYTES):
                channel.sendall(data)
            channel.shutdown_write()

    def _receive(self, end: socket.socket, channel: Channel) -> None:
        """Take what comes from there here. That the connection broke is noted before anybody here can see."""
        with suppress(OSError):  # whoever connected here is gone
            while data := _read(channel):
                end.sendall(data)
        if not channel.eof_received and self._is_broken():
            self._note(Unreachable("the SSH connection broke"))
        elif channel.eof_received and (trouble := self._way.trouble(channel)) is not None:
            self._note(trouble)

    def _is_broken(self) -> bool:
        """Tell whether a channel that ended without a word did so because its connection is gone."""
        until = time.monotonic() + _GONE_WAIT_S
        while self._connection.alive and time.monotonic() < until:
            time.sleep(0.02)  # its channels end a moment before it does
        return not self._connection.alive

    def _note(self, error: SshError) -> None:
        with self._lock:
            if not self._closing:
                self.trouble = self.trouble or error

    def _let_go(self, end: socket.socket) -> None:
        with self._lock:
            self._ends.discard(end)
        end.close()


class SocketFolder:
    """A new folder that only this user may enter, for a Unix socket; closing removes it."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix=f"hf-{os.getpid()}-", dir="/tmp")  # a socket's path is short

    def listen(self, name: str) -> socket.socket:
        """Return a listening socket of this name in the folder."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(os.path.join(self.path, name))
        listener.listen(_BACKLOG)
        return listener

    def close(self) -> None:
        """Remove the folder; a second time does nothing."""
        shutil.rmtree(self.path, ignore_errors=True)


def listen_on_loopback() -> socket.socket:
    """Return a listening socket on a free port of 127.0.0.1."""
    return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)


def is_of_this_user(end: socket.socket) -> bool:
    """Tell whether the user of this process is at the other end of a connection over the loopback."""
    try:
        ours, theirs = _hex(end.getsockname()), _hex(end.getpeername())
    except OSError:
        return False  # gone again
    with open(_TCP_TABLE, encoding="ascii") as table:
        for line in table:
            words = line.split()
            if len(words) > 7 and (words[1], words[2]) == (theirs, ours):
                return int(words[7]) == os.geteuid()
    return False  # gone again


def _hex(address: tuple[str, int]) -> str:
    """Return an address as the kernel's table has it."""
    host, port = address
    (number,) = struct.unpack("=I", socket.inet_aton(host))
    return f"{number:08X}:{port:04X}"


def _read(channel: Channel) -> bytes:
    try:
        return bytes(channel.recv(_PIECE_BYTES))
    except (SSHException, EOFError):
        return b""


def _shut(end: socket.socket, how: int) -> None:
    with suppress(OSError):  # it has ended by itself
        end.shutdown(how)
