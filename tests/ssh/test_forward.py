"""Addresses that a server reaches, brought here: bytes both ways, ends, cuts, and who may go through."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ssh.connection import connect
from ssh.errors import ForwardRefused, NobodyThere, Unreachable
from ssh.forward import Forward, SocketFolder, is_of_this_user, listen_on_loopback
from ssh.ways import ToAddress
from tests.ports import free_port
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.trees import needs_root
from tests.waiting import wait_for


@contextmanager
def doubling() -> Iterator[int]:
    """A port that answers with all it gets, twice, once the other side has said all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    said = _all(client)
                    client.sendall(said + said)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def led_to(
    sshd: Sshd, port: int, *, ssh_port: int | None = None, restricted: bool = False
) -> Iterator[Forward]:
    """A way through the server to a port, out at the loopback."""
    server = sshd.server(sshd.sftp_only_key if restricted else None, ssh_port)
    connection = connect(server)
    way = Forward(connection, ToAddress(connection, "127.0.0.1", port), listen_on_loopback(), is_of_this_user)
    try:
        yield way
    finally:
        way.close()
        way.close()


def ask(way: Forward, data: bytes) -> bytes:
    """Say something through a way, and return the answer."""
    with socket.create_connection(way.address) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return _all(client)


def _all(sock: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def test_much_goes_both_ways_and_ends_are_told(sshd: Sshd) -> None:
    data = os.urandom(3_000_000)
    with doubling() as port, led_to(sshd, port) as way:
        assert ask(way, data) == data + data
        assert ask(way, b"again") == b"againagain"
        assert way.trouble is None


def test_nobody_at_the_address_is_told_and_no_fault_of_the_server(sshd: Sshd) -> None:
    with led_to(sshd, free_port()) as way:
        assert ask(way, b"hello") == b""
        assert isinstance(way.trouble, NobodyThere)


def test_a_key_that_may_not_forward_is_told(sshd: Sshd) -> None:
    with doubling() as port, led_to(sshd, port, restricted=True) as way:
        assert ask(way, b"hello") == b""
        assert isinstance(way.trouble, ForwardRefused)


def test_a_connection_that_breaks_is_noted_before_the_end_shows(sshd: Sshd) -> None:
    with (
        doubling() as port,
        wire_to(sshd.port) as wire,
        led_to(sshd, port, ssh_port=wire.port) as way,
        socket.create_connection(way.address) as client,
    ):
        client.sendall(b"hello")
        wait_for(lambda: way.open == 1)
        wire.cut()
        assert _all(client) == b""
        assert isinstance(way.trouble, Unreachable)


def test_what_is_open_ends_with_it(sshd: Sshd) -> None:
    with doubling() as port, led_to(sshd, port) as way, socket.create_connection(way.address) as client:
        wait_for(lambda: way.open == 1)
        way.close()
        assert _all(client) == b""
        assert way.trouble is None
        with pytest.raises(OSError):
            socket.create_connection(way.address)


@needs_root
def test_another_user_of_this_machine_does_not_get_through(sshd: Sshd) -> None:
    with doubling() as port, led_to(sshd, port) as way:
        # Let through, it would wait for an answer that comes only once it has ended.
        script = f"exec 3<>/dev/tcp/127.0.0.1/{way.address[1]}; cat <&3"
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        done = subprocess.run([*as_nobody, "timeout", "30", "bash", "-c", script], check=False, cwd="/")
        assert done.returncode != 124, "it was let through"
        assert way.open == 0
        assert ask(way, b"x") == b"xx", "we do"


def test_a_folder_for_a_socket_is_for_this_user_alone() -> None:
    folder = SocketFolder()
    with folder.listen("s"):
        assert os.stat(folder.path).st_mode & 0o777 == 0o700
    folder.close()
    folder.close()
    assert not os.path.exists(folder.path)


def test_a_connection_that_is_gone_is_nobodys() -> None:
    with listen_on_loopback() as listener:
        client = socket.create_connection(listener.getsockname())
        end, _ = listener.accept()
        with end:
            assert is_of_this_user(end)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.close()  # a reset
            wait_for(lambda: not is_of_this_user(end))
