"""What paramiko would send too late is not sent: the connection and its other channels live on."""

from __future__ import annotations

import socket
import threading

import pytest
from paramiko import Channel, Message, Transport
from paramiko.common import MSG_CHANNEL_EOF

from ssh.connection import connect
from tests.servers.sshd import Sshd
from tests.waiting import wait_for


def test_an_end_that_is_told_too_late_does_not_end_the_other_channels(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, gone, send = threading.Event(), threading.Event(), Transport._send_user_message

    def send_late(self: Transport, data: Message) -> None:
        if data.asbytes()[0] == MSG_CHANNEL_EOF and not gone.is_set():
            made.set()
            assert gone.wait(60)
        send(self, data)

    monkeypatch.setattr(Transport, "_send_user_message", send_late)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = connect(sshd.server())
        try:
            first, other = (connection.lead_to(*listener.getsockname()) for _ in range(2))
            ends = [listener.accept()[0] for _ in range(2)]
            ender = threading.Thread(target=first.shutdown_write)
            ender.start()
            assert made.wait(60)
            first.close()  # overtakes the message that the other thread has made
            wait_for(lambda: _is_forgotten(first))
            gone.set()
            ender.join()
            other.settimeout(60)
            for end in ends:
                end.settimeout(60)
            for _ in range(3):  # the server has read what came late before it reads this
                other.sendall(b"still there?")
                assert sum(end.recv(12) == b"still there?" for end in ends if _is_open(end)) == 1
            again = connection.lead_to(*listener.getsockname())  # gets the number of the first
            assert again.remote_chanid == first.remote_chanid
            again.sendall(b"and again")
            ends.append(listener.accept()[0])
            assert ends[-1].recv(9) == b"and again"
        finally:
            connection.close()
            for end in ends:
                end.close()


def _is_forgotten(channel: Channel) -> bool:
    """Tell whether the server has closed it, too."""
    transport = channel.get_transport()
    return transport._channels.get(channel.chanid) is None


def _is_open(end: socket.socket) -> bool:
    try:
        return end.recv(1, socket.MSG_PEEK) != b""
    except OSError:
        return False
