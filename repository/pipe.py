"""Talk to a process of our own over a socket: pickled messages, and beside them bytes and descriptors."""

from __future__ import annotations

import contextlib
import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<Q")
_MARK = b"f"


class Pipe:
    """One end of a pair of sockets. One thread may send while another receives; no two may do the same.

    Raises EOFError when the other end is gone. What arrives is unpickled: only for processes we started.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, message: object) -> None:
        """Send a message; waits until the other end takes it."""
        self.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def receive(self) -> Any:
        """Wait for the next message."""
        return pickle.loads(self.receive_bytes())  # noqa: S301 - from our own child or parent

    def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(_LENGTH.pack(len(data)))
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EOFError("the other end is gone") from error

    def receive_bytes(self) -> bytearray:
        """Wait for bytes that were sent by `send_bytes`."""
        (length,) = _LENGTH.unpack(self._receive(_LENGTH.size))
        return self._receive(length)

    def send_descriptor(self, fd: int) -> None:
        """Give the other end an open file; ours stays open."""
        try:
            socket.send_fds(self._socket, [_MARK], [fd])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise EOFError("the other end is gone") from error

    def receive_descriptor(self) -> int:
        """Wait for an open file that was sent by `send_descriptor`; the caller closes it."""
        try:
            _, found, _, _ = socket.recv_fds(self._socket, len(_MARK), 1)
        except ConnectionResetError as error:
            raise EOFError("the other end is gone") from error
        if not found:
            raise EOFError("the other end is gone")
        return found[0]

    def shut_down(self) -> None:
        """End the conversation from any thread: one that waits here, and the other end, meet EOFError."""
        with contextlib.suppress(OSError):  # the other end was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release the socket; no thread may be using it any more."""
        self._socket.close()

    def _receive(self, length: int) -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            try:
                count = self._socket.recv_into(view)
            except ConnectionResetError as error:
                raise EOFError("the other end is gone") from error
            if not count:
                raise EOFError("the other end is gone")
            view = view[count:]
        return data
