"""A TCP connection to a server of this machine that counts the bytes passing by, and may be slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 256 * 1024
_SLOW_PIECE = 16 * 1024
_AHEAD_S = 0.005  # as much as a switch would hold


class Wire:
    """Passes on what comes to `port`; `count` is of both directions.

    `most_bytes_a_second`: of all connections together, each way; 0 is no limit.
    """

    def __init__(self, server_port: int, most_bytes_a_second: int = 0) -> None:
        self.count = 0
        self._rate = most_bytes_a_second
        self._free_at = {True: 0.0, False: 0.0}  # each way, when the last byte will have gone
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
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):  # one side has hung up
            while data := source.recv(_SLOW_PIECE if self._rate else _PIECE):
                time.sleep(self._take(len(data), up))
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _take(self, size: int, up: bool) -> float:
        """Count so many bytes; return for how long they must wait."""
        with self._lock:
            self.count += size
            if not self._rate:
                return 0.0
            now = time.monotonic()
            self._free_at[up] = max(now, self._free_at[up]) + size / self._rate
            return max(0.0, self._free_at[up] - now - _AHEAD_S)


@contextmanager
def counting(server_port: int, most_bytes_a_second: int = 0) -> Iterator[Wire]:
    """Yield a wire to a server on this machine."""
    wire = Wire(server_port, most_bytes_a_second)
    try:
        yield wire
    finally:
        wire.close()
