"""A TCP connection between client and server that a test can cut, or let fall silent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TcpWire:
    """Pass bytes on between `port` and a server; count them; cut or stall once so many went by.

    `most_bytes_a_second` slows each connection down, each way.
    """

    def __init__(self, server_port: int, server: str = "127.0.0.1") -> None:
        self._server = server, server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._silent = threading.Event()
        self._down = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.up_bytes = 0
        self.down_bytes = 0
        self.cut_at_up = self.cut_at_down = 1 << 62
        self.cuts = 0
        self._for_good = False
        self.most_bytes_a_second = 1 << 62
        self._start(self._accept)

    def cut_after(self, *, up: int | None = None, down: int | None = None, for_good: bool = False) -> None:
        """Cut every connection once, when that many more bytes went up to the server or down from it.

        `for_good`: nobody gets through afterwards.
        """
        self._for_good = for_good
        self.cut_at_up = 1 << 62 if up is None else self.up_bytes + up
        self.cut_at_down = 1 << 62 if down is None else self.down_bytes + down

    def cut(self) -> None:
        """Cut every connection now."""
        self.cuts += 1
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def go_down(self) -> None:
        """Let nobody through any more."""
        self._down.set()

    def fall_silent(self) -> None:
        """Let nothing through any more, in no direction, with the connections open."""
        self._silent.set()

    def close(self) -> None:
        """Cut, listen no more, and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._down.is_set():
                client.close()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            self._start(self._pass_on, client, server, True)
            self._start(self._pass_on, server, client, False)

    def _pass_on(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        try:
            with suppress(OSError):
                while data := source.recv(64 * 1024):
                    self._count(len(data), up)
                    time.sleep(len(data) / self.most_bytes_a_second)
                    if not self._silent.is_set():
                        target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
        finally:
            source.close()

    def _count(self, count: int, up: bool) -> None:
        if up:
            self.up_bytes += count
        else:
            self.down_bytes += count
        if self.up_bytes >= self.cut_at_up or self.down_bytes >= self.cut_at_down:
            if self._for_good:
                self.go_down()
            self.cut_after()
            self.cut()


@contextmanager
def wire_to(port: int, server: str = "127.0.0.1") -> Iterator[TcpWire]:
    """A wire to a server, for the block."""
    wire = TcpWire(port, server)
    try:
        yield wire
    finally:
        wire.close()
