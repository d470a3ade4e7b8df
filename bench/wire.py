"""A TCP connection to a server of this machine that counts the bytes passing by."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 256 * 1024


class Wire:
    """Passes on what comes to `port`; `count` is of both directions."""

    def __init__(self, server_port: int) -> None:
        self.count = 0
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one side has hung up
            while data := source.recv(_PIECE):
                with self._lock:
                    self.count += len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def counting(server_port: int) -> Iterator[Wire]:
    """Yield a wire to a server on this machine."""
    wire = Wire(server_port)
    try:
        yield wire
    finally:
        wire.close()
