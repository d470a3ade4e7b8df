"""Connections: what is agreed on, jump hosts, and servers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ssh import host_keys
from ssh.connection import TimeLimits, ask_host_keys, connect
from ssh.errors import HostKeyRefused, NoCommonAlgorithms, SshError, Unreachable
from ssh.sftp import Sftp
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.servers.tcp_wire import wire_to


@contextmanager
def answering(data: bytes) -> Iterator[int]:
    """A port where everybody gets the same bytes and then silence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients: list[socket.socket] = []

        def serve() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    clients.append(client)
                    client.sendall(data)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in clients:
                client.close()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n" * 200])
def test_something_else_at_the_port_is_given_up_in_time(sshd: Sshd, said: bytes) -> None:
    limits = TimeLimits(handshake_s=0.5)
    with answering(said) as port, pytest.raises(Unreachable, match="does not answer as an SSH server"):
        connect(sshd.server(port=port), limits)


def test_through_a_jump_host(sshd: Sshd) -> None:
    with wire_to(sshd.port) as wire:
        server = replace(sshd.server(), jump=sshd.server(port=wire.port))
        sftp = Sftp(connect(server))
        assert sftp.real_path(b"/") == b"/"
        assert wire.down_bytes > 0
        wire.cut()
        with pytest.raises(Unreachable):
            sftp.real_path(b"/")
        sftp.close()


def test_a_jump_host_is_pinned_too(sshd: Sshd) -> None:
    with pytest.raises(HostKeyRefused):
        connect(replace(sshd.server(), jump=replace(sshd.server(), known_host_keys=())))
    with pytest.raises(HostKeyRefused):
        connect(replace(sshd.server(), known_host_keys=(), jump=sshd.server()))


def test_a_port_that_the_jump_host_does_not_reach(sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match="jump host does not reach"):
        connect(replace(sshd.server(port=1), jump=sshd.server()))


def test_weak_algorithms_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = start_sshd(tmp_path_factory.mktemp("weak"), settings="Ciphers aes128-cbc")
    try:
        with pytest.raises(NoCommonAlgorithms):
            connect(server.server())
        with pytest.raises(NoCommonAlgorithms):
            ask_host_keys("127.0.0.1", server.port)
    finally:
        stop_sshd(server)


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 %%%", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="]
)
def test_lines_that_are_no_host_keys_are_refused(line: str) -> None:
    with pytest.raises(SshError):
        host_keys.parse(line)
