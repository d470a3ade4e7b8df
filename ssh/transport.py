"""paramiko's transport, made to say nothing about a channel it has closed, and to lead to Unix sockets."""

from __future__ import annotations

import struct
import threading
from typing import Any

from paramiko import Channel, Message, Transport
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
)

_SOCKET_KIND = "direct-streamlocal@openssh.com"  # PROTOCOL of OpenSSH, section 2.4


class QuietTransport(Transport):
    """A Transport that sends no message about a channel after its CLOSE.

    paramiko makes a message under a lock of the channel and sends it without: a thread that is about to send
    data or EOF is overtaken by another that closes the channel. OpenSSH then finds that the message names a
    channel that is gone, and ends the whole connection with all its other channels.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._closed_there: set[int] = set()  # by the server's numbers, which it gives out again
        self._one_socket = threading.Lock()
        self._socket_path = b""

    def open_socket(self, path: bytes, window_bytes: int, packet_bytes: int, timeout: float) -> Channel:
        """Return a channel to a Unix socket of the server. Raises what `open_channel` does."""
        with self._one_socket:
            self._socket_path = path
            return self.open_channel(
                _SOCKET_KIND, window_size=window_bytes, max_packet_size=packet_bytes, timeout=timeout
            )

    def _send_message(self, data: Message) -> None:
        # Messages of channels come here one at a time: their sender holds `clear_to_send_lock`.
        head = bytes(data.packet.getbuffer()[:5])
        if MSG_CHANNEL_WINDOW_ADJUST <= head[0] <= MSG_CHANNEL_REQUEST:
            (number,) = struct.unpack(">I", head[1:])
            if number in self._closed_there:
                return
            if head[0] == MSG_CHANNEL_CLOSE:
                self._closed_there.add(number)
        elif head[0] == MSG_CHANNEL_OPEN and data.asbytes()[5:].startswith(_SOCKET_KIND.encode()):
            data.add_string(self._socket_path)  # paramiko does not know what belongs to this kind
            data.add_string(b"")
            data.add_int(0)
        super()._send_message(data)  # type: ignore[misc]  # its stubs leave out what is private

    def _parse_channel_open_success(self, m: Message) -> None:
        _ours, theirs = m.get_int(), m.get_int()
        m.rewind()
        self._closed_there.discard(theirs)
        super()._parse_channel_open_success(m)  # type: ignore[misc]
